//! Texts that lie: however a command is written, the question shows the program and the arguments that would run, and each
//! character of them that could deceive is written out.

use std::collections::HashSet;

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n";

fn start(world: &World) -> Lines {
    let mut server = Lines::start(world);
    server.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    server
}

/// Runs a command, answers each question so, and returns the questions' texts and the command's output.
fn run(server: &mut Lines, world: &World, command: &str, response: &Value) -> (Vec<String>, String) {
    let arguments = json!({"command": command, "workdir": world.workdir(), "login": false});
    let id = server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
    let mut questions = Vec::new();
    loop {
        let message = server.receive_call();
        if message["id"] == json!(id) && message.get("method").is_none() {
            let output = message["result"]["structuredContent"]["output"].as_str();
            return (questions, output.unwrap_or_else(|| panic!("no output in {message}")).to_owned());
        }
        questions.push(message["params"]["message"].as_str().expect("a text").to_owned());
        server.respond(&message["id"], response);
    }
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
    let mut server = start(&world);
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
        let (questions, _) = run(&mut server, &world, command, &deny());
        let [question] = &questions[..] else { panic!("{command}: one question, not {questions:?}") };
        assert!(question.lines().count() <= 4, "{command}: a line was added: {question}");
        // The program's own path stands before.
        let line = question.lines().next().expect("a line");
        assert!(line.contains(&format!("/{words}` in `")), "{command}: {question} should show {words}");
        let left: Vec<_> = std::fs::read_dir(world.workdir()).expect("a folder").collect();
        assert!(left.is_empty(), "{command}: {left:?}");
    }
}

#[test]
fn what_was_shown_is_what_runs() {
    let world = World::with_rules(RULES);
    let mut server = start(&world);
    let (questions, _) = run(&mut server, &world, "touch $'a\\u202eb' \"$(echo hidden)\" -- -rf", &accept());
    assert!(shown(&questions[0]).ends_with("touch 'a\\u{202e}b' hidden -- -rf"), "{questions:?}");
    let entries = std::fs::read_dir(world.workdir()).expect("a folder");
    let names: HashSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(names, ["a\u{202e}b", "hidden", "-rf"].map(str::to_owned).into());
}

#[test]
fn what_is_too_long_shows_its_beginning_and_its_end() {
    let world = World::with_rules(RULES);
    let mut server = start(&world);
    let (questions, _) = run(&mut server, &world, "touch a $(printf '%0.s_ ' {1..9000}) ../evil", &deny());
    let line = shown(&questions[0]);
    assert!(line.contains("touch a _ _") && line.ends_with("_ ../evil"), "{line}");
    assert!(line.contains("characters left out") && line.chars().count() < 5000, "{line}");
}

#[test]
fn each_of_very_many_commands_is_asked_about() {
    let world = World::with_rules(RULES);
    let mut server = start(&world);
    let (questions, output) =
        run(&mut server, &world, "for i in {1..60}; do touch f$i; done; echo $(ls | wc -l)", &deny());
    assert_eq!(questions.len(), 60);
    assert!(output.ends_with("\n0\n"), "{output}");
    let different: HashSet<&str> = questions.iter().map(|question| shown(question)).collect();
    assert_eq!(different.len(), 60);
}

#[test]
fn of_a_flood_sixteen_are_shown_at_a_time_and_answers_stay_with_their_questions() {
    let world = World::with_rules(RULES);
    let mut server = start(&world);
    let command = "for i in {1..40}; do touch f$i & done; wait; echo $(ls | sort -V)";
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 100_000});
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
        let yes = number.is_multiple_of(3);
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
