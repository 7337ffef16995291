//! Running commands: output, exit codes, arguments, timeouts.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::waiting::written;
use serde_json::json;

#[tokio::test]
async fn the_tool_is_listed_as_clients_of_the_peer_know_it() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let info = client.service().peer_info().expect("initialized").clone();
    assert_eq!(info.server_info.as_ref().expect("named").name, "shell-tool-mcp");
    let tools = client.service().list_all_tools().await.expect("a list");
    let tool = tools.iter().find(|tool| tool.name == "shell").expect("the tool");
    let schema = serde_json::to_value(&*tool.input_schema).expect("JSON");
    assert_eq!(schema["required"], json!(["command"]));
    let meta = serde_json::to_value(&tool.meta).expect("JSON");
    assert_eq!(meta, json!({"anthropic/alwaysLoad": true}));
    let mut properties: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    properties.sort();
    assert_eq!(
        properties,
        [
            "additional_permissions",
            "command",
            "justification",
            "keep",
            "login",
            "max_output_tokens",
            "publish",
            "sandbox_permissions",
            "session_id",
            "strip_ansi",
            "timeout_ms",
            "workdir",
            "yield_time_ms"
        ]
    );
    assert!(tool.output_schema.is_some() && tool.annotations.is_some() && tool.title.is_some());
}

#[tokio::test]
async fn output_and_exit_code_are_the_commands_own() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("echo hello").await.ran(), (0, "hello\n"));
    assert_eq!(
        client.run("/bin/echo out; /bin/echo err >&2; echo out again; exit 7").await.ran(),
        (7, "out\nerr\nout again\n")
    );
    assert_eq!(
        client.run("no-such-program").await.ran(),
        (127, "bash: line 1: no-such-program: command not found\n")
    );
    assert_eq!(client.run("kill -KILL $$").await.ran(), (137, ""));
    assert_eq!(client.run("pwd").await.ran(), (0, &*format!("{}\n", world.workdir().display())));
    assert_eq!(client.run("yes | head -1; echo ${PIPESTATUS[@]}").await.ran(), (0, "y\n141 0\n"));
}

#[tokio::test]
async fn a_command_of_a_megabyte_runs_as_a_short_one_does() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let long = format!(": {}\necho $0 $#; no-such-program\n", "x".repeat(1 << 20));
    assert_eq!(
        client.run(&long).await.ran(),
        (127, "bash 0\nbash: line 2: no-such-program: command not found\n")
    );
}

/// In plain Bash it ends its own shell, whose arguments hold the pattern.
#[tokio::test]
async fn pkill_by_command_line_ends_what_it_means_and_not_its_own_shell() {
    let world = World::with_rules("");
    for door in ["wrapper", "auto"] {
        let client = Client::start_with(&world, &Person::absent(), &["--door", door]).await;
        assert_eq!(client.run("sleep 4713 & (sleep 4714; :) & echo started").await.ran(), (0, "started\n"));
        let listed = client.structured("background_list", json!({})).await;
        assert!(listed.to_string().contains("(sleep 4714; :)"), "its shell goes by its command: {listed}");
        let kill = "pkill -f 'sleep 471[34]'; echo \"$? $0 $BASH_EXECUTION_STRING\" | head -c 20; \
                    for _ in {1..100}; do left=$(pgrep -fc 'sleep 471') || break; sleep 0.1; done; echo $left; no-such";
        assert_eq!(
            client.run(kill).await.ran(),
            (127, "0 bash pkill -f 'sle0\nbash: line 1: no-such: command not found\n"),
            "{door}"
        );
        let login = json!({"command": "pkill -f logged-in; echo alive; cat", "workdir": world.workdir(), "login": true});
        assert_eq!(client.call(login).await.ran(), (0, "alive\n"));
    }
}

#[tokio::test]
async fn shell_and_programs_have_only_the_descriptors_that_are_theirs() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    // `ls` itself opens the folder that it lists.
    assert_eq!(client.run("/bin/ls /proc/self/fd").await.ran(), (0, "0\n1\n2\n3\n"));
    let names = "env | grep -E '^(BASH_EXEC_|CODEX_ESCALATE|BASH_COMMAND_STRING)'; compgen -v | grep -E '^(BASH_EXEC_|CODEX_ESCALATE|BASH_COMMAND_STRING)'; true";
    assert_eq!(client.run(names).await.ran(), (0, ""));
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let meet = |mine: &str, theirs: &str| {
        format!("echo > {mine}; while [ ! -e {theirs} ]; do sleep 0.02; done; echo met")
    };
    // Each ends only when the other has begun.
    let (left, right) = (meet("a", "b"), meet("b", "a"));
    let (first, second) = tokio::join!(client.run(&left), client.run(&right));
    assert_eq!((first.ran(), second.ran()), ((0, "met\n"), (0, "met\n")));
}

#[tokio::test]
async fn a_timeout_keeps_what_was_printed() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let outcome = client.run_within("echo before; sleep 1000; echo after", Duration::from_millis(300)).await;
    let Outcome::Ran { exit_code, output, timed_out, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((exit_code, &*output, timed_out), (124, "before\n", true));
    let stubborn = "trap '' TERM; echo before; while :; do sleep 0.1; done";
    let outcome = client.run_within(stubborn, Duration::from_millis(100)).await;
    assert_eq!(outcome.ran(), (124, "before\n"));
}

#[tokio::test]
async fn a_background_process_neither_delays_nor_swallows_the_answer() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    // An answer that waited for it would be that of a timeout.
    assert_eq!(client.run("sleep 1000 & echo started").await.ran(), (0, "started\n"));
    // What it executes later is judged and runs: the call's escalation socket outlives the shell.
    let later = "{ until [ -e go ]; do sleep 0.02; done; /bin/echo written > later.new; mv later.new later; } & exit 0";
    assert_eq!(client.run(later).await.ran(), (0, ""));
    std::fs::write(world.workdir().join("go"), "").expect("a file");
    assert_eq!(written(&world.workdir().join("later")), "written");
}

#[tokio::test]
async fn an_argument_that_cannot_be_used_is_named() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    std::fs::write(world.workdir().join("file"), "").expect("a file");
    let workdir = world.workdir();
    let file = workdir.join("file");
    for (arguments, words) in [
        (json!({"workdir": workdir}), "command is missing"),
        (json!({"command": 5, "workdir": workdir}), "command must be a string, got 5"),
        (json!({"command": "", "workdir": workdir}), "command is empty"),
        (json!({"command": "echo a\u{0}b", "workdir": workdir}), "NUL character at byte 6"),
        (json!({"command": "true", "workdir": 1}), "workdir must be a string, got 1"),
        (
            json!({"command": "true", "workdir": "nowhere"}),
            "nowhere\" cannot be used: No such file or directory",
        ),
        (json!({"command": "true", "workdir": workdir.join("nowhere")}), "No such file or directory"),
        (json!({"command": "true", "workdir": file}), "is not a folder"),
        (json!({"command": "true", "workdir": workdir, "timeout_ms": -1}), "timeout_ms must be"),
        (json!({"command": "true", "workdir": workdir, "login": "no"}), "login must be true or false"),
    ] {
        let outcome = client.call(arguments).await;
        assert!(outcome.problem().contains(words), "{outcome:?} should say {words:?}");
    }
    assert_eq!(client.run("echo still there").await.ran(), (0, "still there\n"));
    let error = client.try_call("shall", json!({})).await.expect_err("no such tool").to_string();
    assert!(error.contains("-32602") && error.contains("shell"), "{error}");
}

#[tokio::test]
async fn without_a_folder_commands_run_in_the_one_that_the_server_was_started_in_and_say_so_once() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let here = format!("{}\n", world.workdir().display());
    let first = client.call(json!({"command": "pwd"})).await;
    assert_eq!(first.ran(), (0, &*here));
    let json = first.json();
    assert!(json["notes"].to_string().contains("no workdir was given, so it ran in"), "{json}");
    for arguments in [
        json!({"command": "pwd"}),
        json!({"command": "pwd", "workdir": ""}),
        json!({"command": "pwd", "workdir": "."}),
    ] {
        let outcome = client.call(arguments).await;
        let json = outcome.json();
        assert_eq!((outcome.ran(), json.get("notes")), ((0, &*here), None));
    }
    std::fs::create_dir(world.workdir().join("inner")).expect("a folder");
    let outcome = client.call(json!({"command": "pwd", "workdir": "inner"})).await;
    assert_eq!(outcome.ran(), (0, &*format!("{}/inner\n", world.workdir().display())));
    let home = client.call(json!({"command": "[ \"$PWD\" -ef ~ ] && echo home", "workdir": "~"})).await;
    assert_eq!(home.ran(), (0, "home\n"));
}

#[tokio::test]
async fn a_command_may_begin_like_an_option() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("-x").await.ran(), (127, "bash: line 1: -x: command not found\n"));
    assert_eq!(
        client.run("--version; echo $0").await.ran(),
        (0, "bash: line 1: --version: command not found\nbash\n")
    );
}

#[tokio::test]
async fn job_control_does_not_let_a_process_outlive_a_timeout() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let command = "set -m; sleep 1000 & echo $! > pid; wait";
    assert_eq!(client.run_within(command, Duration::from_millis(500)).await.ran().0, 124);
    let pid = std::fs::read_to_string(world.workdir().join("pid")).expect("it had started");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "it lives on: {stat}");
}

#[tokio::test]
async fn a_timeout_ends_the_call_however_its_processes_behave() {
    let world = World::with_rules("").configured("");
    for flags in [&[][..], &["--sandbox", "danger-full-access"]] {
        let client = Client::start_with(&world, &Person::absent(), flags).await;
        // Seen from outside a PID namespace there may be others of these tests.
        let mark = 1_000_000_000 + u64::from(std::process::id());
        for behaviour in [
            format!("exec sleep {mark}"),
            format!(": {mark}; kill -STOP $$"),
            format!("(setsid sleep {mark} &); wait; sleep {mark}"),
            format!("trap '' TERM HUP INT; while :; do : {mark}; sleep 0.05; done"),
            format!("(exec > /dev/null 2>&1; sleep {mark}) & sleep {mark}"),
            format!("sleep {mark} | cat"),
        ] {
            let outcome =
                client.run_within(&format!("echo before; {behaviour}"), Duration::from_millis(1000)).await;
            // What goes on until it is killed may say that nothing is judged any more.
            let (code, said) = outcome.ran();
            assert!(code == 124 && said.starts_with("before\n"), "{behaviour}: {outcome:?}");
            let left = client.run(&format!("ps -eo args | grep -v grep | grep -c {mark}")).await;
            assert_eq!(left.ran(), (1, "0\n"), "{behaviour}");
        }
        assert_eq!(client.run_within("echo > ran", Duration::ZERO).await.ran().0, 124);
    }
}

#[tokio::test]
async fn bounds_come_from_flags_and_the_configuration_file() {
    let world = World::with_rules("").configured(
        "[shell_tool]\ndefault_timeout_ms = 1000\nmax_timeout_ms = 60000\nmax_output_tokens = 1\n\
         agent_environment = false\n",
    );
    let flags = ["--max-timeout", "1200"];
    let client = Client::start_with(&world, &Person::absent(), &flags).await;
    assert_eq!(client.run("echo 0123456789; sleep 1000").await.ran(), (124, "01\n… 8 bytes omitted …\n\n"));
    let outcome = client.run_within("sleep 1000", Duration::from_secs(500)).await;
    let Outcome::Ran { exit_code: 124, json, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(json["notes"].to_string().contains("lowered to 1200 ms"), "{json}");
    assert_eq!(client.run("echo ${PAGER-no}").await.ran(), (0, "no\n"));
    for (flags, words) in [(["--max-calls", "0"], "from 1 to"), (["--background", "die"], "live and end")] {
        let (code, said) = end_to_end_tests::lines::run_to_end(&world, &flags);
        assert!(code != Some(0) && said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn commands_get_an_environment_that_suits_agents_unless_the_user_says_otherwise() {
    let world = World::with_rules("").configured("[shell_environment_policy.set]\nPAGER = \"more\"\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let command = "echo $NO_COLOR $TERM $LANG $LC_ALL $PAGER $GIT_PAGER ${COLORTERM-unset}.";
    assert_eq!(client.run(command).await.ran(), (0, "1 dumb C.UTF-8 C.UTF-8 more cat .\n"));
}
