//! The example of an agent with the shell inside it: no MCP, an approver of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use end_to_end_tests::{World, binaries};

/// Cargo builds the example together with the tests of the whole workspace, beside them.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let built = test.parent().and_then(|deps| deps.parent()).expect("a folder");
    let example = built.join("examples/embed");
    assert!(example.is_file(), "{} is missing; `cargo build --examples` makes it", example.display());
    example
}

fn embed(world: &World, command: &str, typed: &str) -> Output {
    let mut agent = Command::new(example());
    world.surround(&mut agent);
    agent.arg(binaries()).arg(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut agent = agent.spawn().expect("it starts");
    // It may be over without having read.
    let _ = agent.stdin.take().expect("a pipe").write_all(typed.as_bytes());
    agent.wait_with_output().expect("it ends")
}

#[test]
fn an_agent_runs_commands_asks_by_itself_and_leaves_nothing_behind() {
    let world = World::with_rules("prefix_rule([\"touch\"], decision = \"prompt\")\n").configured("");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let run = embed(&world, "echo > a; touch b; ls; sleep 6543 & exit 3", "yes\n");
    let words = text(&run.stderr);
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(3), "a\nb\n".into()), "{words}");
    assert!(words.contains("Allow agent to run") && words.contains("approved_escalated"), "{words}");
    assert!(words.contains("seccomp"), "the sandbox in force is told: {words}");
    let left =
        words.lines().find(|line| line.starts_with("left running by `echo > a; touch b;")).expect("a line");
    assert!(left.ends_with("sleep 6543"), "{left}");
    let listed = Command::new("ps").args(["-eo", "args"]).output().expect("ps");
    assert!(!text(&listed.stdout).lines().any(|line| line == "sleep 6543"), "it outlived its agent");

    for (typed, says) in [("no\n", "User declined execution"), ("", "nobody is at the terminal")] {
        let run = embed(&world, "touch c", typed);
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        assert!(text(&run.stdout).contains(says), "{run:?}");
        assert!(!world.workdir().join("c").exists());
    }
}
