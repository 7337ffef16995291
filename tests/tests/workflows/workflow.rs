//! One workflow, and its twin worlds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use end_to_end_tests::World;
use end_to_end_tests::client::Client;
use serde_json::{Value, json};

use crate::state::State;

/// What a developer does.
pub(crate) struct Workflow {
    pub(crate) name: &'static str,
    /// Programs without which it is skipped.
    pub(crate) needs: &'static [&'static str],
    /// Whether it takes packages from the registries.
    pub(crate) network: bool,
    /// Where it is done, below the home folder.
    pub(crate) folder: &'static str,
    /// What was there before; runs in plain Bash, in both worlds, in the folder to work in.
    pub(crate) setup: &'static str,
    pub(crate) script: &'static str,
    /// Files and folders that are never twice the same.
    pub(crate) ignoring: &'static [&'static str],
    pub(crate) expected: Expected,
}

/// How the sandbox compares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Exit code, files and repository are those of plain Bash.
    Same,
    /// It fails, or does less, and the result names this; with the remedy that it names, it is the same.
    Refused(&'static str),
    /// As refused, and no remedy is offered: a command must not get it.
    Kept(&'static str),
}

impl Expected {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Expected::Same => "same",
            Expected::Refused(_) => "refused",
            Expected::Kept(_) => "kept",
        }
    }
}

impl Workflow {
    /// A workflow without needs, to be changed.
    pub(crate) const PLAIN: Workflow = Workflow {
        name: "",
        needs: &[],
        network: false,
        folder: "work",
        setup: "",
        script: "",
        ignoring: &[],
        expected: Expected::Same,
    };

    /// Why it is not run here.
    pub(crate) fn skipped(&self) -> Option<String> {
        let path = search_path();
        let found = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
        if let Some(missing) = self.needs.iter().find(|program| !found(program)) {
            return Some(format!("there is no {missing}"));
        }
        let wanted = std::env::var_os("SHELL_TOOL_MCP_WORKFLOWS").is_some_and(|which| which == "all");
        (self.network && !wanted).then(|| "it needs the registries (make test-workflows)".to_owned())
    }
}

/// The system's programs, and the tool chain that runs the tests.
fn search_path() -> std::ffi::OsString {
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    // Through rustup, not past it, like a developer.
    let ours = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin"));
    std::env::join_paths(std::env::split_paths(usual).chain(ours)).expect("folders without colons")
}

/// One of the two worlds in which a workflow is run.
pub(crate) struct Twin {
    world: World,
}

/// What came of it.
pub(crate) struct Ran {
    pub(crate) exit_code: i64,
    pub(crate) seconds: f64,
    /// For whoever reads a failure.
    pub(crate) result: String,
    /// What the sandbox says besides the output.
    pub(crate) denials: Vec<String>,
    pub(crate) notes: Vec<String>,
    state: State,
}

impl Twin {
    pub(crate) fn prepare(workflow: &Workflow) -> Twin {
        // Not in the folder for temporary files, all of which commands may write.
        let world = World::below(Path::new(env!("CARGO_TARGET_TMPDIR")), "");
        let settings = "[user]\nname = Dev\nemail = dev@example.org\n[init]\ndefaultBranch = main\n\
            [protocol \"file\"]\nallow = always\n[advice]\ndetachedHead = false\n";
        std::fs::write(world.home().join(".gitconfig"), settings).expect("Git's settings");
        let twin = Twin { world };
        let made = twin.bash(&format!("set -e; {}", workflow.setup), &twin.world.workdir());
        assert!(made.status.success(), "{}: its setup: {made:?}", workflow.name);
        twin
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// The server, with the variables that plain Bash has, too.
    pub(crate) fn server(&self, workflow: &Workflow, arguments: &[&str]) -> Command {
        let mut server = self.world.server(arguments);
        surround(&mut server);
        server.current_dir(self.folder(workflow));
        server
    }

    fn folder(&self, workflow: &Workflow) -> PathBuf {
        self.world.home().join(workflow.folder)
    }

    fn bash(&self, script: &str, folder: &Path) -> Output {
        let mut bash = Command::new("bash");
        self.world.surround(&mut bash);
        surround(&mut bash);
        bash.current_dir(folder)
            .args(["-c", script])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("Bash starts")
    }

    pub(crate) fn run_plainly(&self, workflow: &Workflow) -> Ran {
        let begun = Instant::now();
        let output = self.bash(workflow.script, &self.folder(workflow));
        let seconds = begun.elapsed().as_secs_f64();
        Ran {
            exit_code: output.status.code().unwrap_or(-1).into(),
            seconds,
            result: format!("{output:?}"),
            denials: Vec::new(),
            notes: Vec::new(),
            state: State::of(&self.world, &self.folder(workflow), workflow.ignoring),
        }
    }

    pub(crate) async fn run_inside(&self, workflow: &Workflow, script: &str, client: &Client) -> Ran {
        // The sandbox is made with the first call.
        client.run("true").await;
        let begun = Instant::now();
        let arguments = json!({
            "command": script, "workdir": self.folder(workflow), "login": false, "timeout_ms": 300_000,
        });
        let outcome = client.call(arguments).await;
        let seconds = begun.elapsed().as_secs_f64();
        let result = outcome.json();
        Ran {
            exit_code: result["exit_code"].as_i64().unwrap_or(-1),
            seconds,
            denials: texts(&result["denials"]),
            notes: texts(&result["notes"]),
            result: result.to_string(),
            state: State::of(&self.world, &self.folder(workflow), workflow.ignoring),
        }
    }
}

/// Bash as agents have it, with the tool chain's own folder, which lies in the home of whoever runs the tests.
fn surround(command: &mut Command) {
    command.env("PATH", search_path()).env("LC_ALL", "C.UTF-8");
    // The same commits at any time.
    command.env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
    if let Some(home) = std::env::var_os("HOME") {
        command.env("RUSTUP_HOME", Path::new(&home).join(".rustup"));
    }
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
}

impl Ran {
    /// How the other differs from this one.
    pub(crate) fn difference(&self, other: &Ran) -> Option<String> {
        if self.exit_code != other.exit_code {
            return Some(format!("exit code {}, plainly {}", other.exit_code, self.exit_code));
        }
        self.state.difference(&other.state)
    }

    /// Why this is not a refusal that names a file.
    pub(crate) fn not_refused(&self, named: &str) -> Option<String> {
        let said = self.denials.iter().chain(&self.notes).any(|text| text.contains(named));
        (!said).then(|| format!("nothing names {named}"))
    }
}
