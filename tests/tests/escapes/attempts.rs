//! One attempt beside its twin, and what becomes of both.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::place::{Attacked, EMULATED_MS, Form, Place};
use crate::walls::{Result, Wall};

/// One thing that must be stopped, and its twin that must work.
pub(crate) struct Attempt {
    /// In the list of known escapes.
    pub(crate) number: &'static str,
    pub(crate) name: &'static str,
    /// A command that must end well, and runs first; none when there is no sensible one.
    pub(crate) twin: Option<String>,
    /// The command whose last line of output names its error.
    pub(crate) attack: String,
    /// The folder that the agent chooses for both; the workspace unless it is said.
    pub(crate) workdir: Option<PathBuf>,
    pub(crate) wall: Wall,
}

/// An attempt in the workspace; an empty `twin` means none.
pub(crate) fn attempt(
    number: &'static str,
    name: &'static str,
    twin: impl Into<String>,
    attack: impl Into<String>,
    wall: Wall,
) -> Attempt {
    let twin = Some(twin.into()).filter(|twin| !twin.is_empty());
    Attempt { number, name, twin, attack: attack.into(), workdir: None, wall }
}

impl Attempt {
    pub(crate) fn from(self, folder: PathBuf) -> Attempt {
        Attempt { workdir: Some(folder), ..self }
    }

    /// Runs the twin and the attack.
    pub(crate) fn judge(&self, attacked: &mut Attacked, form: Form) -> Result {
        if let Some(twin) = &self.twin {
            let outcome = outcome(attacked, twin, &attacked.workdir.clone());
            if outcome != "ok" {
                return Result::Wrong(format!("the twin `{twin}` failed: {outcome}"));
            }
        }
        let workdir = self.workdir.clone().unwrap_or_else(|| attacked.workdir.clone());
        let error = outcome(attacked, &self.attack, &workdir);
        self.wall.stop(form).judge(&error, abi(attacked), &attacked.said())
    }
}

/// What a command says of its one system call: `ok`, an error's name, or `killed`.
fn outcome(attacked: &mut Attacked, command: &str, workdir: &std::path::Path) -> String {
    let arguments =
        json!({"command": command, "workdir": workdir, "login": false, "timeout_ms": EMULATED_MS});
    let json = match attacked.call(arguments) {
        Ok(json) => json,
        Err(words) => return words,
    };
    let output = json["output"].as_str().unwrap_or_default();
    let last = output.lines().last().unwrap_or_default();
    // Programs that are not ours say it in the C library's words.
    const WORDS: &[(&str, &str)] = &[
        ("Read-only file system", "EROFS"),
        ("Permission denied", "EACCES"),
        ("Operation not permitted", "EPERM"),
        ("Bad system call", "killed"),
        ("execve-wrapper", "refused"),
    ];
    match json["exit_code"].as_i64() {
        Some(0) if last.is_empty() => "ok".to_owned(),
        Some(code) if code >= 128 => "killed".to_owned(),
        Some(0) => last.to_owned(),
        _ => {
            WORDS.iter().find(|(words, _)| output.contains(words)).map_or(output, |(_, name)| name).to_owned()
        }
    }
}

/// The Landlock ABI in force, as the results tell it.
fn abi(attacked: &mut Attacked) -> u32 {
    let level = attacked.run("true").map(|json| json["sandbox"].clone()).unwrap_or(Value::Null);
    let level = level.as_str().unwrap_or_default().to_owned();
    level.split("landlock-").nth(1).and_then(|rest| rest.split('+').next()?.parse().ok()).unwrap_or(0)
}

/// All attempts on a running server.
pub(crate) fn all(place: &Place, attacked: &Attacked) -> Vec<Attempt> {
    let mut all = crate::files::attempts(place);
    all.extend(crate::interpreters::attempts(place));
    all.extend(crate::processes::attempts(place, attacked));
    // With Landlock alone these change what mounts would have protected, so they come last.
    all.extend(crate::files::attempts_on_protected_places(place));
    all
}
