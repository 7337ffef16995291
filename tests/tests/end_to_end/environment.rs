//! The environment of commands: nobody is at a terminal, and what is a client's own does not reach them.

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};

const REPOSITORY: &str =
    "git init -q . && git config user.email a@b && git config user.name x && echo a > a && git add a";

async fn start(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Client {
    let mut command = world.server(arguments);
    command.envs(variables.iter().copied());
    Client::start_command(world, &Person::absent(), command).await
}

#[tokio::test]
async fn an_editor_fails_at_once_with_advice_and_what_a_command_says_itself_wins() {
    for arguments in [&[][..], &["--sandbox", "danger-full-access"]] {
        let world = World::with_rules("").configured("");
        std::fs::write(world.home().join(".gitconfig"), "[core]\n\teditor = cat > never\n").expect("written");
        let theirs = [
            ("EDITOR", "vi"),
            ("GIT_EDITOR", "vi"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "alias.theirs"),
            ("GIT_CONFIG_VALUE_0", "!echo kept"),
        ];
        let client = start(&world, &theirs, arguments).await;
        // The sandbox lets no command make one.
        let made =
            std::process::Command::new("sh").args(["-c", REPOSITORY]).current_dir(world.workdir()).status();
        assert!(made.expect("a shell").success());
        let outcome = client.run("git commit; echo $?; git theirs").await;
        let (_, output) = outcome.ran();
        assert!(output.contains("No editor") && output.contains("git commit -m"), "{output}");
        assert!(output.ends_with("\n1\nkept\n"), "{output}");
        // In a rebase, too, which has an editor of its own.
        let command = "git commit -qm one && echo b > b && git add b && git commit -qm two && git rebase -i HEAD~ 2>&1 | head -n 1; git rebase --abort 2> /dev/null; :";
        let outcome = client.run(command).await;
        assert!(outcome.ran().1.starts_with("No editor"), "{outcome:?}");
        let outcome =
            client.run("eval \"$EDITOR file\"; echo $?; \"$VISUAL\" 2> /dev/null || echo words").await;
        assert!(outcome.ran().1.ends_with("\n1\nwords\n"), "{outcome:?}");
        for command in [
            "git -c core.editor=true commit -q --amend",
            "GIT_EDITOR=true git commit -q --amend",
            "git commit -q --amend --no-edit",
            "GIT_SEQUENCE_EDITOR=: git rebase -qi HEAD~",
        ] {
            assert_eq!(client.run(command).await.ran(), (0, ""), "{command}");
        }
    }
}

#[tokio::test]
async fn what_is_a_clients_own_and_what_asks_does_not_reach_commands_inside_or_outside() {
    let world = World::with_rules("prefix_rule([\"printenv\"], decision = \"allow\")\n").configured("");
    let own = [
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_IDE_SOCKET", "/s"),
        ("CLAUDE_CODE_MESSAGING_TOKEN", "1"),
        ("CODEX_THREAD", "1"),
        ("GEMINI_CLI", "1"),
        ("VSCODE_IPC_HOOK_CLI", "/s"),
        ("CURSOR_TRACE_ID", "1"),
        ("GIT_ASKPASS", "/ask"),
        ("SSH_ASKPASS", "/ask"),
    ];
    let client = start(&world, &[&own[..], &[("MINE", "1")]].concat(), &[]).await;
    let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
    let asked = format!(
        "for name in MINE CODEX_HOME GIT_TERMINAL_PROMPT {}; do echo ${{!name+$name}}; done",
        names.join(" ")
    );
    let inside = client.run(&asked).await;
    assert_eq!(
        inside.ran().1.split_whitespace().collect::<Vec<_>>(),
        ["MINE", "CODEX_HOME", "GIT_TERMINAL_PROMPT"]
    );
    let outside = client.run("printenv").await;
    let outside = outside.ran().1;
    for name in [
        "MINE",
        "GIT_TERMINAL_PROMPT",
        "PIP_NO_INPUT",
        "npm_config_yes",
        "DEBIAN_FRONTEND",
        "EDITOR",
        "GIT_CONFIG_KEY_1",
    ] {
        assert!(outside.lines().any(|line| line.starts_with(&format!("{name}="))), "{name} in {outside}");
    }
    for name in names {
        assert!(!outside.lines().any(|line| line.starts_with(&format!("{name}="))), "{name} in {outside}");
    }
}

#[tokio::test]
async fn the_user_may_have_another_environment() {
    let world = World::with_rules("").configured("[shell_environment_policy]\nset = { EDITOR = \"mine\" }\n");
    let client = start(&world, &[], &[]).await;
    assert_eq!(client.run("echo $EDITOR $PIP_NO_INPUT").await.ran(), (0, "mine 1\n"));
    let world = World::with_rules("").configured("[shell_tool]\nagent_environment = false\n");
    let client = start(&world, &[("EDITOR", "vi"), ("GIT_ASKPASS", "/ask"), ("CLAUDECODE", "1")], &[]).await;
    let outcome = client
        .run("echo $EDITOR $GIT_ASKPASS ${PIP_NO_INPUT-none} ${GIT_CONFIG_COUNT-none} ${CLAUDECODE-none}")
        .await;
    assert_eq!(outcome.ran(), (0, "vi /ask none none none\n"));
}
