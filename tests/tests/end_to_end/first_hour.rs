//! What a new user meets: the name of the command, help, mistakes, and a server that is typed in a terminal.

use std::io::Read;
use std::os::unix::process::CommandExt;

use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::lines::run_subcommand;
use end_to_end_tests::{World, quoted};

/// A command of the user's that is our program under another name, as the launcher starts it.
fn named(world: &World) -> std::path::PathBuf {
    let path = world.workdir().join("shell-tool-mcp");
    std::os::unix::fs::symlink(end_to_end_tests::binaries().join("exec-server"), &path).expect("linked");
    path
}

#[tokio::test]
async fn texts_name_the_command_that_the_user_has() {
    let world = World::with_rules("prefix_rule([\"printf\"], \"prompt\")\n");
    let command = named(&world);
    let called = |arguments: &[&str]| {
        let output = world.server(arguments).arg0(&command).output().expect("it runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(called(&["--version"]).starts_with("shell-tool-mcp "), "{}", called(&["--version"]));
    for arguments in [&["--help"][..], &["policy", "--help"], &["--no-such-flag"], &["audit", "verify"]] {
        let said = called(arguments);
        assert!(said.contains("shell-tool-mcp") && !said.contains("exec-server"), "{arguments:?}: {said}");
    }
    let mut server = world.server(&["--sandbox", "danger-full-access"]);
    server.arg0(&command);
    let client = Client::start_command(&world, &Person::absent(), server).await;
    let outcome = client.run("/usr/bin/printf x").await;
    let expected = format!("`{} approve`", quoted(&command));
    assert!(outcome.ran().1.contains(&expected), "{outcome:?}");
}

#[test]
fn bare_in_a_terminal_it_says_what_it_is() {
    let world = World::with_rules("");
    let plan = world.server(&[]);
    let (mut terminal, inside) = pty_process::blocking::open().expect("a terminal");
    let mut command = pty_process::blocking::Command::new(plan.get_program()).env_clear();
    for (name, value) in plan.get_envs() {
        command = command.env(name, value.expect("a value"));
    }
    let mut server = command.spawn(inside).expect("started");
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while !said.contains("Ctrl-C") {
        let length = terminal.read(&mut buffer).expect("it says something");
        said.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    server.kill().expect("ended");
    server.wait().expect("waited for");
    for words in ["this is an MCP server", "doctor", "--help"] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn a_line_of_shell_is_explained_and_idle_rules_are_named() {
    let world =
        World::with_rules("prefix_rule([\"git\", \"push\"], \"prompt\")\nprefix_rule([\"git push\"])\n");
    let (code, said, warned) = run_subcommand(&world, &["policy", "explain", "git push origin"]);
    assert_eq!(code, Some(0));
    for words in ["decision: prompt", "was split", "a yes runs it confined"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(warned.contains("default.rules:2: no program is called \"git push\""), "{warned}");
    let project = world.workdir().join(".codex/rules");
    std::fs::create_dir_all(&project).expect("made");
    std::fs::write(project.join("p.rules"), "").expect("written");
    std::fs::write(world.codex_home().join("rules/mine.rule"), "").expect("written");
    let (_, _, warned) = run_subcommand(&world, &["policy", "test"]);
    for words in [
        "p.rules: not read, for the project is not trusted",
        "mine.rule: not read",
        "default.rules:1: no examples",
    ] {
        assert!(warned.contains(words), "{words} in {warned}");
    }
    let (_, said, _) = run_subcommand(&world, &["policy", "explain", "true && git push"]);
    assert!(said.contains("rules for the command inside: git push"), "{said}");
}
