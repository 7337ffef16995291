//! What a call runs differs from plain Bash in nothing that can be observed: the scripts of `bash_faithful`, through
//! the whole server with empty rules, beside the same Bash without its hook in the same sandbox.
//!
//! The plain one is a copy of our Bash under another path: the server does not know it, so it runs it like any program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::machine::{FLOOD_FILES, Resource, is_allowed};
use end_to_end_tests::{World, binaries, word};
use serde_json::json;

use crate::bash_faithful::scripts;
use crate::bash_hook::fixture::files_below;

/// Words of scripts that are judged by more than the rules, which are empty, or that show the path of the Bash itself.
const NOT_COMPARABLE: &[(&str, &str)] = &[
    ("rm -rf", "a forced removal is asked about although no rule speaks"),
    ("rm -f", "as above"),
    ("\"$BASH\"", "the Bash that is tested has another path, which it says in its errors"),
];

/// What can be seen of a run: exit code, output, and the mode and content of each file.
#[derive(Debug, PartialEq)]
struct Seen {
    code: i64,
    output: String,
    files: BTreeMap<PathBuf, (u32, Vec<u8>)>,
}

async fn run(client: &Client, folder: &Path, command: &str) -> Seen {
    // Absent before the first run.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir(folder).expect("a folder");
    let timeout = u64::try_from(Duration::from_secs(120).as_millis()).expect("fits");
    let arguments = json!({"command": command, "workdir": folder, "login": false, "timeout_ms": timeout});
    let outcome = client.call(arguments).await;
    let Outcome::Ran { exit_code, output, .. } = outcome else { panic!("{outcome:?}") };
    Seen { code: exit_code, output, files: files_below(folder) }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[tokio::test]
async fn scripts_behave_as_in_plain_bash() {
    let world = World::with_rules("");
    let plain = world.codex_home().join("plain-bash");
    std::fs::copy(binaries().join("bash"), &plain).expect("a copy");
    let client = Client::start(&world, &Person::absent()).await;
    let folder = world.workdir().join("run");
    let (mut compared, mut different) = (0, Vec::new());
    for (name, script) in scripts() {
        if NOT_COMPARABLE.iter().any(|(words, _)| script.contains(words)) {
            continue;
        }
        let is_flood = script.contains("{1..200}");
        if is_flood && !is_allowed(Resource::Nofile, FLOOD_FILES) {
            continue;
        }
        // A wrapper's arguments are a few more, and a quarter of the stack is what all may need (execve(2)).
        if script.contains("%130000d") && !is_allowed(Resource::Stack, 1 << 20) {
            continue;
        }
        let ours = run(&client, &folder, script).await;
        let command = format!("exec -a bash {} -c -- {}", word(&plain), quoted(script));
        let theirs = run(&client, &folder, &command).await;
        compared += 1;
        if ours != theirs {
            different.push(format!("{name}\n{script}  plain: {theirs:?}\n  ours:  {ours:?}\n"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {compared} scripts differ:\n{}",
        different.len(),
        different.join("\n")
    );
    assert!(compared >= 200, "only {compared} scripts were compared");
}
