//! Texts that lie: however a command is written, the question shows the program and the arguments that would run, and
//! each character of them that could deceive is written out.
//!
//! Where the cases of this kind that were seen in public are tested (numbered as in the escape suite):
//!
//! | case | test |
//! |---|---|
//! | 33 `$IFS`, short flags | `the_question_shows_what_would_run_however_it_is_written` |
//! | 34 CR as a separator, backslash-escaped words | the same |
//! | 35 `$(…)` in quotes, backticks, `<(…)` | the same |
//! | 36 `${x@P}` | the same |
//! | 37 newlines, here-documents | the same |
//! | 38 very many sub-commands | `each_of_very_many_commands_is_asked_about` |
//! | 39 `--` | `the_question_shows_what_would_run_however_it_is_written`, `what_was_shown_is_what_runs` |
//! | 40 built-ins that poison a later command's environment | `poison::what_built_ins_put_into_the_environment_does_not_leave_the_sandbox` |
//! | 41 writes without an exec | `poison::what_writes_without_an_exec_is_held_by_the_sandbox` |
//! | 42 escapes, bidi, zero width, padding | the first of these tests, `what_is_too_long_shows_its_beginning_and_its_end`, `padding_hides_nothing`; in a terminal: `approve_subcommand::…` |
//! | 57, 58 what changes while a person thinks | the escape suite's `questions` |
//! | 59 no answer in time | `parked_calls::when_nobody_comes_back_the_command_ends`, `approval_channels::an_answer_that_takes_too_long_is_a_no` |
//! | 60 a replayed or forged answer; approve A, run B | `parked_calls::a_state_that_is_not_the_one_…`, `approval_channels::an_answer_counts_for_its_own_question_once`, `approval_channels::once_is_once_…`, the escape suite's `approval` |
//! | 61 a client that answers by itself | `approval_channels::a_refusal_faster_than_reading_…`, `parked_calls::a_refusal_and_its_reason_…` |
//! | 62 order, floods | `of_a_flood_sixteen_are_shown_at_a_time_…`, `a_flood_of_several_calls_shows_sixty_four`, `parked_calls::a_flood_comes_sixteen_at_a_time`, `parked_calls::several_questions_are_answered_in_any_order_and_number` |

use std::collections::HashSet;

use end_to_end_tests::World;
use end_to_end_tests::asking::{Asking, ERAS, Era};
use end_to_end_tests::machine::{FLOOD_FILES, Resource, is_allowed};
use serde_json::{Value, json};

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n";

/// Runs a command, answers each question so, and returns the questions' texts and the command's output.
fn run(asking: &mut Asking, command: &str, response: &Value) -> (Vec<String>, String) {
    let answered = asking.run(command, response);
    let texts = answered.messages().into_iter().map(str::to_owned).collect();
    (texts, answered.output().to_owned())
}

fn deny() -> Value {
    json!({"action": "accept", "content": {"decision": "deny"}})
}

fn accept() -> Value {
    json!({"action": "accept"})
}

/// What stands between the first pair of backticks: the command line.
fn shown(question: &str) -> &str {
    let (_, rest) = question.split_once("`").expect("a command line");
    let end = rest.find("` in `").expect("its end, and the folder");
    &rest[..end]
}

#[test]
fn the_question_shows_what_would_run_however_it_is_written() {
    let world = World::with_rules(RULES);
    let mut asking = ERAS.map(|era| Asking::start(&world, era, &[]));
    for (command, words) in [
        ("touch${IFS}a${IFS}b", "touch a b"),
        ("to\\uc\\h a", "touch a"),
        ("t''ou\"\"ch a", "touch a"),
        ("touch $'a\\rb'", "touch 'a\\rb'"),
        ("touch \"$(echo hidden)\"", "touch hidden"),
        ("touch `echo hidden`", "touch hidden"),
        ("touch \"$(cat <(echo hidden))\"", "touch hidden"),
        ("x='$(echo hidden)'; touch \"${x@P}\"", "touch hidden"),
        ("touch $'a\\nb'", "touch 'a\\nb'"),
        ("source /dev/stdin <<< 'touch a'", "touch a"),
        ("eval \"$(cat << END\ntouch a\nEND\n)\"", "touch a"),
        ("touch -- -rf", "touch -- -rf"),
        ("f() { command touch evil; }; f good", "touch evil"),
        ("shopt -s expand_aliases; eval 'alias ls=\"touch evil;\"'; eval 'ls good'", "touch evil"),
        ("exec -a good touch evil", "touch evil"),
        ("touch $'a\\e[2K\\e[1Gls'", "touch 'a\\u{1b}[2K\\u{1b}[1Gls'"),
        ("touch $'a\\u202eb'", "touch 'a\\u{202e}b'"),
        ("touch $'a\\u200bb'", "touch 'a\\u{200b}b'"),
        ("touch $'a\\u00a0b'", "touch 'a\\u{a0}b'"),
        ("touch $'a\\xffb'", "touch 'a\\xffb'"),
        ("touch 'a` in `/` ?'", "touch 'a` in `/` ?'"),
    ] {
        for asking in &mut asking {
            let (questions, _) = run(asking, command, &deny());
            let [question] = &questions[..] else { panic!("{command}: one question, not {questions:?}") };
            // The line of script is one, whatever is in it; then come the rules on offer.
            assert!(question.lines().count() <= 9, "{command}: a line was added: {question}");
            // The program's own path stands before.
            let line = question.lines().next().expect("a line");
            let is_shown = ["` in `", " `` in `"].iter().any(|end| line.contains(&format!("/{words}{end}")));
            assert!(is_shown, "{command}: {question} should show {words}");
            let left: Vec<_> = std::fs::read_dir(world.workdir()).expect("a folder").collect();
            assert!(left.is_empty(), "{command}: {left:?}");
        }
    }
}

#[test]
fn what_was_shown_is_what_runs() {
    let world = World::with_rules(RULES);
    let mut asking = Asking::start(&world, Era::Requests, &[]);
    let (questions, _) = run(&mut asking, "touch $'a\\u202eb' \"$(echo hidden)\" -- -rf", &accept());
    assert!(shown(&questions[0]).ends_with("touch 'a\\u{202e}b' hidden -- -rf"), "{questions:?}");
    let entries = std::fs::read_dir(world.workdir()).expect("a folder");
    let names: HashSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(names, ["a\u{202e}b", "hidden", "-rf"].map(str::to_owned).into());
}

#[test]
fn what_is_too_long_shows_its_beginning_and_its_end() {
    let world = World::with_rules(RULES);
    let mut asking = Asking::start(&world, Era::Requests, &[]);
    let (questions, _) = run(&mut asking, "touch a $(printf '%0.s_ ' {1..9000}) ../evil", &deny());
    let line = shown(&questions[0]);
    assert!(line.contains("touch a _ _") && line.ends_with("_ ../evil"), "{line}");
    assert!(line.contains("characters left out") && line.chars().count() < 5000, "{line}");
}

#[test]
fn each_of_very_many_commands_is_asked_about() {
    let world = World::with_rules(RULES);
    let mut asking = Asking::start(&world, Era::Requests, &[]);
    let (questions, output) =
        run(&mut asking, "for i in {1..60}; do touch f$i; done; echo $(ls | wc -l)", &accept());
    assert_eq!(questions.len(), 60);
    assert_eq!(output, "60\n");
    let different: HashSet<&str> = questions.iter().map(|question| shown(question)).collect();
    assert_eq!(different.len(), 60);
}

#[test]
fn of_a_flood_sixteen_are_shown_at_a_time_and_answers_stay_with_their_questions() {
    if !is_allowed(Resource::Nofile, FLOOD_FILES) {
        return;
    }
    let world = World::with_rules(RULES);
    let mut asking = Asking::start(&world, Era::Requests, &[]);
    let command = "for i in {1..40}; do touch f$i & done; wait; echo $(ls | sort -V)";
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 100_000});
    let server = &mut asking.server;
    let id = server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
    let mut open: Vec<Value> = Vec::new();
    let mut accepted = Vec::new();
    let mut asked = 0;
    let answer = loop {
        // The flood is let in as far as it goes; then the last one is answered first.
        while asked < 40 && open.len() < 16 {
            open.push(server.receive_call());
            asked += 1;
        }
        let Some(question) = open.pop() else { break server.receive_call() };
        let text = question["params"]["message"].as_str().expect("a text");
        let number: usize =
            shown(text).rsplit('f').next().and_then(|number| number.parse().ok()).expect("a number");
        // Five noes would be enough for the rest.
        let yes = !number.is_multiple_of(10);
        if yes {
            accepted.push(format!("f{number}"));
        }
        server.respond(&question["id"], &if yes { accept() } else { deny() });
    };
    assert_eq!(answer["id"], json!(id), "{answer}");
    accepted.sort_by_key(|name| name[1..].parse::<usize>().expect("a number"));
    let output = answer["result"]["structuredContent"]["output"].as_str().expect("output");
    assert_eq!(output.lines().last(), Some(&*accepted.join(" ")), "{output}");
}

#[test]
fn padding_hides_nothing() {
    let world = World::with_rules(RULES);
    for era in ERAS {
        let mut asking = Asking::start(&world, era, &[]);
        for padding in [
            "$(printf '%3000s')x",
            "$(printf '%0.s\\n' {1..900}; echo x)",
            "$(printf '%0.s\u{3164}' {1..300}; echo x)",
        ] {
            let (questions, _) = run(&mut asking, &format!("touch \"a{padding}\" ../evil"), &deny());
            let line = shown(&questions[0]);
            assert!(line.contains("touch 'a") && line.ends_with(" ../evil"), "{line}");
            assert!(!line.contains('\n') && !line.contains('\u{3164}'), "{line}");
        }
    }
}

#[test]
fn a_flood_of_several_calls_shows_sixty_four() {
    if !is_allowed(Resource::Nofile, FLOOD_FILES) {
        return;
    }
    let world = World::with_rules(RULES);
    let mut asking = Asking::start(&world, Era::Requests, &[]);
    let calls: Vec<Value> = (0..6)
        .map(|call| asking.call(&format!("for i in {{1..20}}; do touch f{call}-$i & done; wait; echo over")))
        .collect();
    let server = &mut asking.server;
    for call in calls {
        server.send_request("tools/call", call);
    }
    let mut open: Vec<Value> = (0..64).map(|_| server.receive_call()).collect();
    assert!(open.iter().all(|message| message["method"] == "elicitation/create"));
    // The server does the rest of its work; and what it says next is no 65th question.
    let listed = server.request("tools/list", json!({}));
    assert!(listed["result"]["tools"].is_array(), "the next message is the answer: {listed}");
    // Answers let more in, and stay with their questions.
    let (mut asked, mut over, mut accepted) = (64, 0, HashSet::new());
    while over < 6 {
        if let Some(question) = open.pop() {
            let text = shown(question["params"]["message"].as_str().expect("a text"));
            let name = text.rsplit(' ').next().expect("a name").to_owned();
            let yes = !name.ends_with('7');
            server.respond(&question["id"], &if yes { accept() } else { deny() });
            if yes {
                accepted.insert(name);
            }
        }
        while open.is_empty() && over < 6 {
            let message = server.receive_call();
            if message["method"] == "elicitation/create" {
                asked += 1;
                open.push(message);
            } else {
                over += 1;
            }
        }
    }
    assert_eq!((asked, accepted.len()), (120, 108));
    let entries = std::fs::read_dir(world.workdir()).expect("a folder");
    let names: HashSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(names, accepted);
}
