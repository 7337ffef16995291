//! Where no command can run the server starts all the same, and the first result says what to do: hardly any client
//! shows what a dead server has written.

use std::process::Command;

use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::{World, binaries};

/// The words of the first result, after the list of tools.
async fn first_result(world: &World, command: Command) -> String {
    let client = Client::start_command(world, &Person::absent(), command).await;
    let tools = client.service().list_all_tools().await.expect("a list");
    let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    let expected = [
        "shell",
        "exec_command",
        "write_stdin",
        "read_output",
        "apply_patch",
        "background_list",
        "background_kill",
    ];
    assert_eq!(names, expected);
    match client.run("echo ran").await {
        Outcome::Problem(words) => words,
        Outcome::Ran { json, .. } => panic!("the command ran: {json}"),
    }
}

#[tokio::test]
async fn without_its_programs_it_says_where_they_come_from() {
    let world = World::with_rules("");
    let words = first_result(&world, world.server(&["--bash", "/nonexistent/bash"])).await;
    assert!(
        words.contains("--bash /nonexistent/bash cannot be used")
            && words.contains("start this server again"),
        "{words}"
    );

    let alone = world.home().join("exec-server");
    let copied = Command::new("cp").arg(binaries().join("exec-server")).arg(&alone).status();
    assert!(copied.expect("cp starts").success());
    let mut command = Command::new(&alone);
    world.surround(&mut command);
    let words = first_result(&world, command).await;
    assert!(words.contains("no execve-wrapper") && words.contains("The npm package brings one"), "{words}");
}

#[tokio::test]
async fn with_a_broken_configuration_it_says_where_but_quotes_nothing() {
    let world = World::with_rules("");
    let file = world.codex_home().join("config.toml");
    std::fs::write(&file, "[shell_environment_policy]\nset = { TOKEN = \"secretvalue }\n").expect("written");
    let words = first_result(&world, world.server(&[])).await;
    assert!(words.contains(&format!("{} is not understood", file.display())), "{words}");
    assert!(!words.contains("secretvalue"), "{words}");
}

/// Nobody is told anything by a server that has no client: it ends as it always did.
#[test]
fn without_a_client_the_error_is_on_standard_error_and_in_the_exit_code() {
    let world = World::with_rules("");
    let output = world.server(&["--bash", "/nonexistent/bash"]).output().expect("it starts");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(words.matches("/nonexistent/bash cannot be used").count(), 1, "{words}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_any_sandbox_it_says_what_would_give_one() {
    let world = World::with_rules("");
    let here = Client::start_with(&world, &Person::absent(), &[]).await.run("exit 3").await;
    assert_eq!(here.ran().0, 3, "the twin, on the machine as it is");

    let mut command = Command::new(env!("CARGO_BIN_EXE_without"));
    world.surround(&mut command);
    command.args(["landlock", "namespaces", "--"]).arg(binaries().join("exec-server"));
    let words = first_result(&world, command).await;
    for said in ["the sandbox cannot be set up", "Linux 6.2", "--sandbox external-sandbox", " doctor"] {
        assert!(words.contains(said), "{said} is missing in\n{words}");
    }
}
