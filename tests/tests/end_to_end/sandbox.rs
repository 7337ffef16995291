//! Which sandbox a call gets, what it says about it, and what it leaves behind.

use std::time::Duration;

use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::lines::{Lines, run_to_end};
use end_to_end_tests::waiting::eventually_async;
use end_to_end_tests::{World, word};
use rmcp::model::ClientRequest;
use serde_json::{Value, json};

/// A call's whole JSON.
/// Commands that write inside and outside of the folder to work in.
fn write_both(world: &World) -> String {
    format!("echo > inside && echo in; echo > {}/outside && echo out", word(&world.codex_home()))
}

#[tokio::test]
async fn by_default_only_the_start_folder_is_writable_and_a_denial_says_what_would_help() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client.run(&write_both(&world)).await;
    let (code, output) = outcome.ran();
    assert!(code == 1 && output.starts_with("in\n") && output.contains("Read-only file system"), "{output}");
    let json = outcome.json();
    assert!(json["sandbox"].as_str().expect("a level").contains("seccomp"), "{json}");
    let denial = json["denials"][0].as_str().expect("a denial");
    let expected = format!(
        "writing {}/outside; a person can allow it: add \"--writable-root\"",
        world.codex_home().display()
    );
    assert!(denial.contains(&expected), "{denial}");
    assert!(!world.codex_home().join("outside").exists());
    // A relative name is one of the folder that the command has gone to.
    let home = world.codex_home();
    for command in ["touch y", "echo hi > y", "F=$PWD; cd / && cd \"$F\" && touch y"] {
        let outcome = client.run(&format!("cd {} && {command}", word(&home))).await;
        let denial = outcome.json()["denials"][0].as_str().map(str::to_owned).expect("a denial");
        assert!(denial.contains(&format!("writing {}/y; ", home.display())), "{command}: {denial}");
    }
}

#[tokio::test]
async fn what_a_weaker_sandbox_does_not_protect_is_told_once() {
    let notes = |outcome: &Outcome| outcome.json()["notes"].to_string();
    let alone = World::with_rules("").configured("[shell_tool]\nnamespaces = \"off\"\n");
    let client = Client::start_with(&alone, &Person::absent(), &[]).await;
    let first = client.run("true").await;
    assert!(
        notes(&first).contains("the sandbox protects less") && notes(&first).contains("doctor"),
        "{first:?}"
    );
    let second = client.run("true").await;
    assert!(!notes(&second).contains("protects less"), "{second:?}");

    let whole = World::with_rules("").configured("");
    let client = Client::start_with(&whole, &Person::absent(), &[]).await;
    let outcome = client.run("true").await;
    let is_whole = outcome.json()["sandbox"].as_str().is_some_and(|level| level.starts_with("namespaces"));
    assert_eq!(notes(&outcome).contains("protects less"), !is_whole, "{outcome:?}");
}

#[tokio::test]
async fn the_rules_cannot_be_written_although_their_folder_is_writable() {
    let world = World::with_rules("").configured("");
    let root = world.home();
    let flags = ["--writable-root", root.to_str().expect("UTF-8")];
    let client = Client::start_with(&world, &Person::absent(), &flags).await;
    let command = format!(
        "echo > {}/beside && echo ok; echo 'prefix_rule([\"id\"])' >> {}",
        word(root),
        word(&world.rules_file())
    );
    let outcome = client.run(&command).await;
    assert!(outcome.ran().1.starts_with("ok\n"), "{outcome:?}");
    assert_eq!(outcome.ran().0, 1);
    assert_eq!(std::fs::read_to_string(world.rules_file()).expect("the rules"), "");
}

#[tokio::test]
async fn flags_choose_the_mode() {
    let world = World::with_rules("").configured("");
    for (flags, inside, outside) in [
        (&["--sandbox", "read-only"][..], false, false),
        (&["--sandbox", "workspace-write"], true, false),
        (&["--sandbox", "external-sandbox"], true, true),
        (&["--sandbox", "danger-full-access"], true, true),
    ] {
        let client = Client::start_with(&world, &Person::absent(), flags).await;
        let outcome = client.run(&write_both(&world)).await;
        let output = outcome.ran().1;
        assert_eq!(
            (output.contains("in\n"), output.contains("out\n")),
            (inside, outside),
            "{flags:?}: {output}"
        );
    }
}

#[test]
fn what_contradicts_itself_keeps_the_server_from_starting() {
    let world = World::with_rules("");
    for (flags, expected) in [
        (&["--sandbox", "off"][..], "unknown sandbox mode"),
        (&["--sandbox", "read-only", "--writable-root", "/tmp"], "contradicts"),
        (&["--writable-root", "/does/not/exist"], "/does/not/exist"),
    ] {
        let (code, words) = run_to_end(&world, flags);
        assert!(
            code.is_some_and(|code| code != 0) && words.contains(expected),
            "{flags:?}: {code:?} {words}"
        );
    }
}

#[tokio::test]
async fn a_program_that_a_rule_allows_runs_outside_in_the_same_folder() {
    let world = World::with_rules("prefix_rule([\"touch\"])\n").configured("");
    let client = Client::start_with(&world, &Person::absent(), &["--sandbox", "read-only"]).await;
    let outcome = client.run("/usr/bin/mkdir made; touch here; ls").await;
    assert_eq!(outcome.ran().0, 0, "{outcome:?}");
    assert!(outcome.ran().1.ends_with("\nhere\n"), "{outcome:?}");
    assert!(world.workdir().join("here").exists() && !world.workdir().join("made").exists());
}

#[tokio::test]
async fn background_processes_are_named_reached_by_the_next_call_and_gone_with_the_server() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client
        .run("mkfifo door; (read -r word < door; echo \"heard $word\" > heard; sleep 1000) & echo left")
        .await;
    assert_eq!(outcome.ran(), (0, "left\n"));
    assert_eq!(outcome.json()["background"].as_array().expect("a list").len(), 1, "{outcome:?}");
    let heard = client.run("echo me > door; while [ ! -s heard ]; do sleep 0.02; done; cat heard").await;
    assert_eq!(heard.ran(), (0, "heard me\n"));
    // What a process outside would find by its command line.
    let marked = || {
        let entries = std::fs::read_dir("/proc").expect("proc").flatten();
        let folders = entries.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
        folders.filter(|folder| folder.starts_with(world.workdir())).count()
    };
    assert!(marked() > 0, "the background process should be there");
    drop(client);
    eventually_async(async || if marked() > 0 { Err("a process outlives the server") } else { Ok(()) }).await;
}

/// Whether it is killed before or after it could say that the command runs: the command may have run, so this is a
/// result.
#[tokio::test]
async fn a_command_that_kills_what_watches_over_it_is_not_said_not_to_have_run() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    for round in 0..20 {
        let outcome = client.run(&format!("echo > ran{round}; kill -9 $PPID; sleep 10")).await;
        assert_eq!((outcome.ran().0, &outcome.json()["status"]), (125, &json!("failed")), "{outcome:?}");
        assert!(world.workdir().join(format!("ran{round}")).exists(), "{outcome:?}");
    }
    assert_eq!(client.run("echo next").await.ran(), (0, "next\n"));
}

#[tokio::test]
async fn processes_that_hide_from_their_call_end_with_its_timeout() {
    let world = World::with_rules("").configured("");
    for flags in [&[][..], &["--sandbox", "danger-full-access"]] {
        let client = Client::start_with(&world, &Person::absent(), flags).await;
        let command = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo > up; while :; do sleep 0.1; done' &); \
            while [ ! -e up ]; do sleep 0.02; done; rm up; wait; sleep 1000";
        let outcome = client.run_within(command, Duration::from_millis(1500)).await;
        assert_eq!(outcome.ran().0, 124, "{outcome:?}");
        let left = client.run("ps -eo args | grep -c '[e]cho > up'").await;
        assert_eq!(left.ran(), (1, "0\n"), "{flags:?}");
    }
}

async fn update(client: &Client, params: Value) -> Result<(), String> {
    let request = rmcp::model::CustomRequest::new("codex/sandbox-state/update", Some(params));
    let answer = client.service().send_request(ClientRequest::CustomRequest(request)).await;
    answer.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_clients_state_is_obeyed_and_only_narrows_where_it_is_not_trusted() {
    let world = World::with_rules("").configured("");
    let full = json!({"sandboxPolicy": {"type": "danger-full-access"}, "sandboxCwd": "/"});
    let none = json!({"sandboxPolicy": {"type": "read-only"}, "sandboxCwd": world.workdir(), "codexLinuxSandboxExe": null});
    for (flags, wide) in [(&[][..], true), (&["--no-trust-client-sandbox"], false)] {
        let client = Client::start_with(&world, &Person::absent(), flags).await;
        update(&client, full.clone()).await.expect("understood");
        let output = client.run(&write_both(&world)).await;
        assert_eq!(output.ran().1.contains("out\n"), wide, "{flags:?} {output:?}");
        update(&client, none.clone()).await.expect("understood");
        let output = client.run(&write_both(&world)).await;
        assert!(!output.ran().1.contains("in\n") && !output.ran().1.contains("out\n"), "{output:?}");
        let error = update(&client, json!({"sandboxPolicy": {"type": "lax"}})).await.expect_err("nonsense");
        assert!(error.contains("-32602") && error.contains("unknown sandbox mode"), "{error}");
    }
}

#[tokio::test]
async fn a_state_sent_with_a_call_counts_for_that_call() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let profile = json!({"permissionProfile": {"type": "managed", "file_system": {"type": "restricted", "entries": [
        {"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}]}, "network": "restricted"},
        "sandboxCwd": format!("file://{}", world.workdir().display())});
    let arguments = json!({"command": "echo > x && echo in", "workdir": world.workdir(), "login": false});
    let mut request = rmcp::model::CallToolRequestParams::new("shell")
        .with_arguments(arguments.as_object().expect("an object").clone());
    let mut meta = rmcp::model::RequestMetaObject::default();
    meta.insert("codex/sandbox-state-meta".into(), profile);
    request.meta = Some(meta);
    let result = client.service().call_tool(request).await.expect("a result");
    assert_eq!(result.structured_content.expect("content")["exit_code"], json!(1));
    assert_eq!(client.run("echo > x && echo in").await.ran(), (0, "in\n"));
}

#[tokio::test]
async fn secrets_of_the_server_are_not_in_the_environment_of_commands() {
    let world = World::with_rules("").configured("");
    let mut command = world.server(&[]);
    command.env("MY_API_TOKEN", "x").env("HARMLESS", "y");
    let client = Client::start_command(&world, &Person::absent(), command).await;
    assert_eq!(
        client.run("echo ${MY_API_TOKEN-none} $HARMLESS $CODEX_SANDBOX_NETWORK_DISABLED").await.ran(),
        (0, "none y 1\n")
    );
    let client = Client::start_with(&world, &Person::absent(), &["--network"]).await;
    assert_eq!(client.run("echo ${CODEX_SANDBOX_NETWORK_DISABLED-unset}").await.ran(), (0, "unset\n"));
}

/// Where commands see the processes of their session, they can stop the one that starts the others: the next call is
/// not its victim, and what the session still runs ends with it.
#[tokio::test]
async fn a_command_that_stops_what_starts_calls_does_not_stop_the_next_one() {
    let world = World::with_rules("").configured("[shell_tool]\nnamespaces = \"off\"\n");
    for mode in ["workspace-write", "danger-full-access"] {
        let client = Client::start_with(&world, &Person::absent(), &["--sandbox", mode]).await;
        for round in 0..2 {
            let stop = "read -r _ _ _ init _ < /proc/$PPID/stat; kill -STOP $init; echo stopped";
            assert_eq!(client.run(stop).await.ran(), (0, "stopped\n"), "{mode}");
            let next = format!("echo x >> next{round}; cat next{round}; rm next{round}");
            assert_eq!(client.run(&next).await.ran(), (0, "x\n"), "{mode}");
        }
    }
}

/// It has run, whatever has become of what watches over it: its time is its time.
#[tokio::test]
async fn a_command_that_stops_what_watches_over_it_ends_with_its_timeout() {
    for namespaces in ["auto", "off"] {
        let world =
            World::with_rules("").configured(&format!("[shell_tool]\nnamespaces = \"{namespaces}\"\n"));
        let client = Client::start_with(&world, &Person::absent(), &[]).await;
        for round in 0..3 {
            let command = format!("echo > ran{round}; kill -STOP $PPID; sleep 1000");
            let outcome = client.run_within(&command, Duration::from_millis(2500)).await;
            assert_eq!(outcome.ran().0, 124, "{namespaces}: {outcome:?}");
            assert!(world.workdir().join(format!("ran{round}")).exists(), "{outcome:?}");
        }
        assert_eq!(client.run("echo next").await.ran(), (0, "next\n"), "{namespaces}");
    }
}

/// Mounts and Landlock know a folder, not its name.
#[tokio::test]
async fn a_workspace_that_is_moved_or_made_again_outside_gets_another_sandbox() {
    for moves in [true, false] {
        let world = World::with_rules("").configured("");
        let work = world.workdir();
        let client = Client::start_with(&world, &Person::absent(), &[]).await;
        let script = "test -e .git || git init -q; echo x > x; mkdir -p d/e; git add .; git -c user.name=a -c user.email=a@b commit -qm x; rm -r d; ls";
        let before = client.run(script).await;
        assert_eq!(before.ran().0, 0, "{before:?}");
        if moves {
            std::fs::rename(&work, world.home().join("moved")).expect("moved");
        } else {
            std::fs::remove_dir_all(&work).expect("removed");
        }
        std::fs::create_dir(&work).expect("made again");
        let again = client.run(script).await;
        assert_eq!(again.ran(), (0, "x\n"), "{again:?}");
        // The new one is protected as the first one was.
        let attacked =
            client.run("echo > .mcp.json; git config core.hooksPath x; ls -A; cat .git/config").await;
        assert!(
            !attacked.ran().1.contains("mcp.json\n.") && !attacked.ran().1.contains("hooksPath ="),
            "{attacked:?}"
        );
        assert!(!work.join(".mcp.json").exists());
    }
}

#[tokio::test]
async fn root_becomes_another_user_though_hashes_are_hidden() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client
        .run("for user in nobody daemon; do su $user -s /bin/sh -c 'id -un'; done; id -un; ! cat /etc/shadow; grep -c : /etc/passwd")
        .await;
    let (code, words) = outcome.ran();
    assert!(
        code == 0 && words.starts_with("nobody\ndaemon\nroot\n") && !words.contains("root:"),
        "{outcome:?}"
    );
}

/// Commands can use up inotify, which is counted by user: what is started then is refused, never weaker. That is tried where the
/// test has a count of its own.
#[cfg(target_os = "linux")]
#[test]
fn no_weaker_sandbox_is_had_by_using_up_watches() {
    const LIMITED: &str = "echo $0 > /proc/sys/user/max_inotify_instances || exit 99; exec \"$@\"";
    let level = |instances: &str| {
        let world = World::with_rules("").configured("");
        let server = world.server(&[]);
        let mut command = std::process::Command::new("unshare");
        world.surround(&mut command);
        command.args(["-U", "--map-root-user", "sh", "-c", LIMITED, instances]);
        command.arg(server.get_program()).args(server.get_args());
        let mut server = Lines::start_command(command);
        server.initialize();
        let call = json!({"command": "true", "workdir": world.workdir(), "login": false});
        let result = server.request("tools/call", json!({"name": "shell", "arguments": call}));
        let refused = result.to_string().contains("because inotify is used up");
        result["result"]["structuredContent"]["sandbox"].as_str().map(str::to_owned).ok_or(refused)
    };
    let can = std::process::Command::new("unshare")
        .args(["-U", "--map-root-user", "sh", "-c", LIMITED, "9", "true"])
        .status();
    if !can.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("TESTS_MUST_SANDBOX").as_deref(), Ok("1"), "no namespace to try it in");
        return;
    }
    let whole = level("64").expect("a sandbox");
    for instances in ["0", "1", "2", "3"] {
        match level(instances) {
            Ok(had) => assert_eq!(had, whole, "with {instances}"),
            Err(is_said) => assert!(is_said, "with {instances}"),
        }
    }
    assert_eq!(level("0"), Err(true));
    // All of a server's sandboxes need one.
    assert_eq!(level("1"), Ok(whole));
}
