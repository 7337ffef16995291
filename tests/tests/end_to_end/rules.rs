//! The user's rules: what runs, what leaves the sandbox, what is refused; and rules that cannot be read.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::{Accept, Cancel, Decline};
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::lines::run_to_end;
use end_to_end_tests::waiting::{ended, written};

/// Tells where a program runs: an escalated one is a child of the server, any other one of the shell.
const PARENT: &str = "ps -o comm= -p $PPID";

#[tokio::test]
async fn a_forbidden_program_does_not_run_and_the_refusal_names_the_rule() {
    let world = World::with_rules(
        "prefix_rule(pattern=[\"touch\", \"b\"], decision=\"forbidden\", justification=\"b is mine\")\n",
    );
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("touch a; ls").await.ran(), (0, "a\n"));
    let reason = format!(
        "Execution denied: Execution forbidden by policy: b is mine (rule {}:1)\n",
        world.rules_file().display()
    );
    assert_eq!(client.run("touch b").await.ran(), (1, &*reason));
    assert_eq!(client.run("/usr/bin/touch b || ls").await.ran(), (0, &*format!("{reason}a\n")));
}

#[tokio::test]
async fn an_allowed_program_runs_outside_with_the_wrappers_streams_directory_and_arguments() {
    let world = World::with_rules(
        r#"
prefix_rule(pattern=["sh"], decision="allow")
prefix_rule(pattern=["cat"], decision="allow")
prefix_rule(pattern=["pwd"], decision="allow")
"#,
    );
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run(&format!("sh -c '{PARENT}'; :")).await.ran(), (0, "sandbox-call\n"));
    assert_eq!(client.run(&format!("dash -c '{PARENT}'; :")).await.ran(), (0, "bash\n"));
    assert_eq!(
        client.run("echo piped | cat | cat; echo ${PIPESTATUS[@]}").await.ran(),
        (0, "piped\n0 0 0\n")
    );
    assert_eq!(
        client.run("mkdir d; cd d; /bin/pwd").await.ran(),
        (0, &*format!("{}/d\n", world.workdir().display()))
    );
    assert_eq!(client.run("exec -a /x/sh sh -c 'echo $0'").await.ran(), (0, "/x/sh\n"));
    assert_eq!(
        client.run("CI=1 sh -c 'echo $CI; echo err >&2; exit 42'; echo $?").await.ran(),
        (0, "1\nerr\n42\n")
    );
    assert_eq!(client.run("sh -c 'kill -USR1 $$'; echo $?").await.ran().0, 0);
    assert!(client.run("sh -c 'kill -USR1 $$'; echo $?").await.ran().1.ends_with("138\n"));
    assert_eq!(
        client.run("cat <(echo one) <(echo two) /dev/fd/7 7<<<three").await.ran(),
        (0, "one\ntwo\nthree\n")
    );
    assert_eq!(client.run("cat <&-; echo $?").await.ran().1.lines().last(), Some("1"));
}

#[tokio::test]
async fn an_escalated_program_ends_with_its_call() {
    let world = World::with_rules("prefix_rule(pattern=[\"sh\"], decision=\"allow\")\n");
    let client = Client::start(&world, &Person::absent()).await;
    let command = "sh -c 'echo $$ > pid; sleep 1000 & sleep 1000'";
    let outcome = client.run_within(command, Duration::from_millis(500)).await;
    assert!(matches!(outcome, Outcome::Ran { timed_out: true, .. }), "{outcome:?}");
    ended(&written(&world.workdir().join("pid")));
}

#[tokio::test]
async fn signals_reach_an_escalated_program() {
    let world = World::with_rules("prefix_rule(pattern=[\"sh\"], decision=\"allow\")\n");
    let client = Client::start(&world, &Person::absent()).await;
    let command = "sh -c 'trap \"echo got it; exit 3\" USR1; echo > ready; while :; do sleep 0.05; done' &
        while [ ! -e ready ]; do sleep 0.02; done; kill -USR1 $!; wait $!; echo $?";
    assert_eq!(client.run(command).await.ran(), (0, "got it\n3\n"));
}

const PROMPT: &str =
    "prefix_rule(pattern=[\"sh\", \"-c\"], decision=\"prompt\", justification=\"shells are asked about\")\n";

#[tokio::test]
async fn a_prompt_is_asked_as_clients_know_it_and_the_answer_counts() {
    let world = World::with_rules(PROMPT);
    let person = Person::answering([Accept, Decline, Cancel]).reading();
    let client = Client::start(&world, &person).await;
    assert_eq!(client.run(&format!("sh -c '{PARENT}'; :")).await.ran(), (0, "sandbox-call\n"));
    assert_eq!(
        client.run("sh -c 'echo > ran'").await.ran(),
        (1, "Execution denied: User declined execution\n")
    );
    assert_eq!(
        client.run("sh -c 'echo > ran'").await.ran(),
        (1, "Execution denied: User cancelled execution\n")
    );
    assert!(!world.workdir().join("ran").exists());
    let shell = std::process::Command::new("sh").args(["-c", "command -v sh"]).output().expect("sh");
    let shell = String::from_utf8(shell.stdout).expect("UTF-8");
    let asked = person.asked();
    let mut expected = format!(
        "Allow agent to run `{} -c 'echo > ran'` in `{}`?\nReason: shells are asked about\nRule: {}:1\nA yes runs it outside the sandbox, with your rights.",
        shell.trim(),
        world.workdir().display(),
        world.rules_file().display()
    );
    let file = std::fs::canonicalize(shell.trim()).expect("the shell's file");
    if file.as_os_str() != shell.trim() {
        expected.push_str(&format!("\nFile: {}", file.display()));
    }
    assert_eq!(asked[1], expected);
}

#[tokio::test]
async fn the_heuristic_asks_about_forced_removal_and_a_yes_does_not_escalate() {
    let world = World::with_rules("");
    let person = Person::answering([Accept, Decline]);
    let client = Client::start(&world, &person).await;
    assert_eq!(client.run("touch a b; rm -f a; ls").await.ran(), (0, "b\n"));
    assert_eq!(client.run("rm -rf b || ls").await.ran().1.lines().last(), Some("b"));
    assert_eq!(person.asked().len(), 2);
}

#[tokio::test]
async fn without_somebody_to_ask_the_answer_is_no_at_once_and_says_what_would_allow_it() {
    let world = World::with_rules(PROMPT);
    let client = Client::start(&world, &Person::absent()).await;
    let outcome = client.run("sh -c 'echo > ran'").await;
    let (code, output) = outcome.ran();
    assert_eq!(code, 1);
    for words in [
        "shells are asked about",
        "default.rules:1",
        "did not declare",
        "only a person can allow it: by an answer, or by changing that rule",
    ] {
        assert!(output.contains(words), "{output:?} should say {words:?}");
    }
    let json = outcome.json();
    assert_eq!(json.to_string().matches("only a person can allow it").count(), 1, "said once: {json}");
    assert!(!json.to_string().contains("prefix_rule"), "no rule that the agent could write: {json}");
    // Where the command keeps it to itself, the result has it.
    let silent = client.run("sh -c 'echo > ran' 2> /dev/null").await;
    let json = silent.json();
    assert_eq!(json.to_string().matches("only a person can allow it").count(), 1, "said once: {json}");
    assert!(!world.workdir().join("ran").exists());
}

#[tokio::test]
async fn a_client_that_fails_to_answer_has_said_no() {
    let world = World::with_rules(PROMPT);
    let client = Client::start(&world, &Person::answering([])).await;
    let outcome = client.run("sh -c 'echo > ran'").await;
    assert_eq!(outcome.ran().0, 1, "{outcome:?}");
    assert!(!world.workdir().join("ran").exists());
}

#[tokio::test]
async fn thinking_does_not_count_against_the_timeout() {
    let world = World::with_rules(PROMPT);
    let person = Person::answering([Accept]).when_told();
    let client = Client::start(&world, &person).await;
    let limit = Duration::from_millis(1500);
    let thinking = async {
        person.until_asked(1).await;
        // When the limit of a call that began later is over, so would be the other's.
        assert_eq!(client.run_within("sleep 1000", limit).await.ran().0, 124);
        person.tell();
    };
    let (outcome, ()) = tokio::join!(client.run_within("sh -c 'echo approved'", limit), thinking);
    let Outcome::Ran { exit_code, output, timed_out, json } = outcome else { panic!("{outcome:?}") };
    assert_eq!((exit_code, &*output, timed_out), (0, "approved\n", false));
    assert!(json["approval_wait"]["secs"].as_u64() >= Some(1), "{json}");
    assert!(json["duration"]["secs"].as_u64() >= Some(1), "{json}");
}

#[tokio::test]
async fn several_questions_of_one_call_are_open_at_once() {
    let world = World::with_rules(PROMPT);
    let person = Person::answering([Accept, Accept]).when_told();
    let client = Client::start(&world, &person).await;
    let both = async {
        person.until_asked(2).await;
        person.tell();
        person.tell();
    };
    let (outcome, ()) = tokio::join!(client.run("sh -c 'echo one; cat' | sh -c 'cat; echo two'"), both);
    // Neither side of the pipe could go on alone if the questions came one after the other with the pipe held.
    assert_eq!(outcome.ran(), (0, "one\ntwo\n"));
}

/// Of a server that does not start, clients say only that the connection was closed.
#[tokio::test]
async fn a_rules_file_with_an_error_is_told_in_each_call_until_it_is_mended() {
    let good = "prefix_rule(pattern=[\"ls\"])\n";
    let world = World::with_rules(&format!("{good}prefix_rule(pattern=[\"ls\"], desicion=\"alow\")\n"));
    let client = Client::start(&world, &Person::absent()).await;
    for _ in 0..2 {
        let Outcome::Problem(text) = client.run("echo > ran").await else { panic!("it ran") };
        for words in [
            "no command runs until they are mended",
            "default.rules:2:1",
            "prefix_rule(pattern=[\"ls\"], desicion=",
            "did you mean \"decision\"?",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
        assert!(!text.contains("starlark") && !text.contains("Traceback"), "{text}");
    }
    assert!(!world.workdir().join("ran").exists());
    std::fs::write(world.rules_file(), good).expect("written");
    assert_eq!(client.run("echo ran").await.ran(), (0, "ran\n"));
}

#[tokio::test]
async fn a_rules_folder_that_is_none_is_told_in_each_call() {
    let world = World::with_rules("");
    let rules = world.codex_home().join("rules");
    std::fs::remove_dir_all(&rules).expect("removed");
    std::fs::write(&rules, "").expect("a file in its place");
    let client = Client::start(&world, &Person::absent()).await;
    let Outcome::Problem(text) = client.run("true").await else { panic!("it ran") };
    assert!(text.contains(&rules.display().to_string()), "{text}");
}

#[tokio::test]
async fn a_question_ends_with_the_program_that_it_is_about() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n");
    let person = Person::answering([Accept]).when_told();
    let client = Client::start(&world, &person).await;
    // While the question is open the clock stands still; when its program is gone it runs again.
    let command = "touch q & until [ -e asked ]; do sleep 0.02; done; kill -9 $!; sleep 1000";
    let asked = async {
        person.until_asked(1).await;
        std::fs::write(world.workdir().join("asked"), "").expect("written");
    };
    let (outcome, ()) = tokio::join!(client.run_within(command, Duration::from_millis(2500)), asked);
    assert!(matches!(outcome, Outcome::Ran { timed_out: true, .. }), "{outcome:?}");
    assert!(!world.workdir().join("q").exists());
}

#[tokio::test]
async fn a_question_of_a_finished_call_is_a_no_at_once() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n");
    let client = Client::start(&world, &Person::answering([])).await;
    let later = "{ while [ ! -e go ]; do sleep 0.05; done; touch q 2> said; echo $? > code.new; mv code.new code; } > /dev/null 2>&1 & exit 0";
    assert_eq!(client.run(later).await.ran(), (0, ""));
    std::fs::write(world.workdir().join("go"), "").expect("written");
    assert_eq!(written(&world.workdir().join("code")), "1");
    let said = written(&world.workdir().join("said"));
    assert!(said.contains("the request that started this command has ended"), "{said}");
}

#[tokio::test]
async fn a_program_that_is_replaced_while_the_question_is_open_does_not_run() {
    let world = World::with_rules("prefix_rule(pattern=[\"tool\"], decision=\"prompt\")\n");
    let person = Person::answering([Accept, Accept]).when_told();
    let client = Client::start(&world, &person).await;
    let make = "for t in tool evil; do printf '#!/bin/sh\\necho %s\\n' $t > $t; chmod +x $t; done";
    person.tell();
    assert_eq!(client.run(&format!("{make}; ./tool")).await.ran(), (0, "tool\n"));
    let swap = format!(
        "{make}; {{ until [ -e go ]; do sleep 0.02; done; mv evil tool; echo > done; }} & ./tool; echo $?"
    );
    let thinking = async {
        person.until_asked(2).await;
        std::fs::write(world.workdir().join("go"), "").expect("written");
        assert_eq!(written(&world.workdir().join("done")), "");
        person.tell();
    };
    let (outcome, ()) = tokio::join!(client.run(&swap), thinking);
    let (_, output) = outcome.ran();
    assert!(output.contains("not the one that was judged") && output.ends_with("1\n"), "{output}");
}

#[tokio::test]
async fn a_refusal_with_standard_error_closed_is_a_refusal_all_the_same() {
    let world = World::with_rules("prefix_rule(pattern=[\"id\"], decision=\"forbidden\")\n");
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(
        client.run("id 2>&-; echo $?; id 1>&- 2>&-; echo $?; true 2>&-; echo $?").await.ran(),
        (0, "1\n1\n0\n")
    );
}

#[test]
fn a_bash_or_wrapper_that_is_not_ours_keeps_the_server_from_starting() {
    let world = World::with_rules("");
    for (arguments, words) in [
        (["--bash", "/bin/sh"], ["is not the patched Bash", "executes programs without asking"]),
        (["--execve", "/bin/true"], ["is not the execve-wrapper", "make build"]),
    ] {
        let (code, said) = run_to_end(&world, &arguments);
        assert_eq!(code, Some(1));
        assert!(words.iter().all(|word| said.contains(word)), "{said:?} should say {words:?}");
    }
}
