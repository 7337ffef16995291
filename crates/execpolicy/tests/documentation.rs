//! Every example in `docs/rules.md`, `docs/rights.md` and `docs/recipes.md` is what it says.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::Path;

use execpolicy::{Ancestor, Ancestry, Command, DecidedBy, Decision, Options, Plain, Policy};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
const RIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rights.md");

const RECIPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recipes.md");

/// The fenced blocks of the document: language, text, line.
fn blocks(document: &str) -> Vec<(String, String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String, usize)> = None;
    for (index, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new(), index + 1)),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, text, _))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// What a line of a `decisions` block asks: `below PROGRAM:`, `in FOLDER:` and `with NAME=VALUE…:` may stand before the
/// command.
fn decide(policy: &Policy, question: &str) -> &'static str {
    let mut cwd = None;
    let mut environment: Option<Vec<(OsString, OsString)>> = None;
    let mut command = question;
    let mut ancestry = Ancestry::default();
    if let Some((program, rest)) = command.strip_prefix("below ").and_then(|rest| rest.split_once(": ")) {
        ancestry = Ancestry::whole(vec![Ancestor::named(program.as_ref()).into()]);
        command = rest;
    }
    if let Some((folder, rest)) = command.strip_prefix("in ").and_then(|rest| rest.split_once(": ")) {
        (cwd, command) = (Some(folder), rest);
    }
    if let Some((variables, rest)) = command.strip_prefix("with ").and_then(|rest| rest.split_once(": ")) {
        let pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
        environment = Some(pairs.map(|(name, value)| (name.into(), value.into())).collect());
        command = rest;
    }
    let words = shlex::split(command).expect("a command");
    let mut command = Command::from_words(&words).expect("a command").with_ancestry(&ancestry);
    if let Some(cwd) = cwd {
        command = command.with_cwd(Path::new(cwd));
    }
    if let Some(environment) = &environment {
        command = command.with_environment(environment);
    }
    let evaluation = policy.evaluate(&command, &Options::default());
    match (evaluation.decision(), evaluation.decided_by()) {
        (Decision::Prompt, DecidedBy::Heuristic) => "dangerous",
        (_, DecidedBy::Nothing) => "nothing",
        (decision, _) => decision.word(),
    }
}

/// How a command runs by the rules that let it.
fn run(policy: &Policy, line: &str) -> &'static str {
    let words = shlex::split(line).expect("a command");
    let options = Options { plain: Plain::ByProgram, ..Options::default() };
    policy.evaluate(&Command::from_words(&words).expect("a command"), &options).rights().run.word()
}

#[test]
fn every_example_is_what_it_says() {
    assert!(tried(DOCUMENT) > 50, "only few examples were found");
    assert!(tried(RIGHTS) > 10, "only few examples were found");
    assert!(tried(RECIPES) > 15, "only few examples were found");
}

fn tried(document: &str) -> usize {
    let document = std::fs::read_to_string(document).expect("a document");
    let blocks = blocks(&document);
    let mut tried = 0;
    for (index, (language, text, line)) in blocks.iter().enumerate() {
        let next = blocks.get(index + 1).map(|(language, text, _)| (language.as_str(), text.as_str()));
        if language != "python" {
            continue;
        }
        let mut policy = Policy::empty();
        let read = policy.add_text(Path::new("example.rules"), text, Some("/home/me"));
        if let Some(("error", expected)) = next {
            let error = read.expect_err(text).to_string();
            assert!(error.contains(expected.trim_end()), "line {line}: {error}");
            tried += 1;
            continue;
        }
        read.unwrap_or_else(|error| panic!("line {line}: {error}"));
        assert!(policy.problems().is_empty(), "line {line}: {:?}", policy.problems());
        if let Some(("rights", rights)) = next {
            for (expected, command) in rights.lines().filter_map(|line| line.split_once(' ')) {
                assert_eq!(run(&policy, command.trim_start()), expected, "line {line}: {command}");
                tried += 1;
            }
        }
        let Some(("decisions", decisions)) = next else { continue };
        for question in decisions.lines() {
            let (expected, command) = question.split_once(' ').expect("a decision and a command");
            assert_eq!(decide(&policy, command.trim_start()), expected, "line {line}: {command}");
            tried += 1;
        }
    }
    tried
}

#[test]
fn the_requirements_example_is_valid() {
    let toml_of = |document: &str| {
        let document = std::fs::read_to_string(document).expect("a document");
        blocks(&document).into_iter().find(|(language, _, _)| language == "toml").expect("an example").1
    };
    let toml = toml_of(DOCUMENT) + &toml_of(RIGHTS);
    let mut policy = Policy::empty();
    policy.add_requirements(Path::new("requirements.toml"), &toml).expect("valid requirements");
    let words = ["rm", "-rf", "x"];
    let evaluation = policy.evaluate(&Command::from_words(&words).expect("words"), &Options::default());
    assert_eq!(evaluation.decision(), Decision::Forbidden);
    assert!(!policy.caps().is_empty());
}
