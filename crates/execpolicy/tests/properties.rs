//! What holds for all rules and all commands.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::Path;

use execpolicy::amend::{Amendment, too_broad};
use execpolicy::{Command, DecidedBy, Decision, Options, Policy};
use proptest::prelude::*;

const WORDS: &[&str] = &["a", "b", "c", "-f", "-r"];

#[derive(Clone, Debug)]
struct Rule {
    pattern: Vec<&'static str>,
    decision: Decision,
}

impl Rule {
    fn text(&self) -> String {
        let words: Vec<String> = self.pattern.iter().map(|word| format!("{word:?}")).collect();
        format!("prefix_rule([{}], \"{}\")\n", words.join(", "), self.decision)
    }

    fn matches(&self, command: &[&str]) -> bool {
        command.starts_with(&self.pattern)
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(WORDS)
}

fn rule() -> impl Strategy<Value = Rule> {
    let decision = prop::sample::select(&[Decision::Allow, Decision::Prompt, Decision::Forbidden][..]);
    (prop::collection::vec(word(), 1..4), decision).prop_map(|(pattern, decision)| Rule { pattern, decision })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(rule(), 0..8)
}

fn command() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(word(), 1..5)
}

/// A command as it is, in a wrapper, or in a script with others.
fn nested() -> impl Strategy<Value = Vec<String>> {
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let script = prop::collection::vec(command(), 1..4).prop_map(|commands| {
        let text = commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" && ");
        vec!["sh".to_owned(), "-c".to_owned(), text]
    });
    prop_oneof![
        command().prop_map(owned),
        command().prop_map(move |words| owned([vec!["nice", "-n", "5"], words].concat())),
        script,
    ]
}

fn policy(rules: &[Rule]) -> Policy {
    let text: String = rules.iter().map(Rule::text).collect();
    Policy::from_text(Path::new("p.rules"), &text).unwrap_or_else(|error| panic!("{text}{error}"))
}

fn decide(policy: &Policy, words: &[impl AsRef<std::ffi::OsStr>]) -> (Decision, DecidedBy, usize) {
    let evaluation = policy.evaluate(&Command::from_words(words).expect("words"), &Options::default());
    (evaluation.decision(), evaluation.decided_by(), evaluation.matches().len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_strictest_matching_rule_decides(rules in rules(), command in command()) {
        let expected = rules.iter().filter(|rule| rule.matches(&command)).map(|rule| rule.decision).max();
        let (decision, decided_by, _) = decide(&policy(&rules), &command);
        match expected {
            // Rules that ask or forbid look behind options, too.
            _ if command.iter().any(|word| word.starts_with('-')) => {
                prop_assert!(decision >= expected.unwrap_or(Decision::Allow));
            }
            Some(expected) => prop_assert_eq!((decision, decided_by), (expected, DecidedBy::Rule)),
            None => prop_assert_eq!((decision, decided_by), (Decision::Allow, DecidedBy::Nothing)),
        }
    }

    #[test]
    fn a_rule_that_asks_or_forbids_never_loosens(mut rules in rules(), mut added in rule(), command in nested()) {
        added.decision = added.decision.max(Decision::Prompt);
        let before = decide(&policy(&rules), &command).0;
        rules.push(added);
        prop_assert!(decide(&policy(&rules), &command).0 >= before);
    }

    #[test]
    fn the_order_of_rules_and_files_does_not_matter(rules in rules(), seed in any::<prop::sample::Index>(), command in nested()) {
        let expected = decide(&policy(&rules), &command);
        let mut turned = rules.clone();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
        }
        prop_assert_eq!(decide(&policy(&turned), &command), expected);
        turned.reverse();
        prop_assert_eq!(decide(&policy(&turned), &command), expected);

        let mut policy = Policy::empty();
        for (index, rule) in turned.iter().enumerate() {
            let file = format!("{index}.rules");
            policy.add_text(Path::new(&file), &rule.text(), None).expect("good rules");
        }
        prop_assert_eq!(decide(&policy, &command), expected);
    }

    #[test]
    fn an_added_rule_reads_back_and_matches(words in prop::collection::vec(any::<String>(), 1..5)) {
        let owned: Vec<OsString> = words.iter().map(OsString::from).collect();
        match Amendment::allow(&owned) {
            Ok(amendment) => {
                prop_assert_eq!(amendment.line().lines().count(), 1);
                let policy = Policy::from_text(Path::new("a.rules"), amendment.line()).expect("a valid line");
                let (decision, decided_by, _) = decide(&policy, &owned);
                prop_assert_eq!((decision, decided_by), (Decision::Allow, DecidedBy::Rule));
            }
            Err(_) => prop_assert!(too_broad(&words).is_some()),
        }
    }

    #[test]
    fn quoted_words_come_out_of_a_script_as_they_went_in(words in prop::collection::vec("[ -~\n\t]{0,12}", 0..5)) {
        let all: Vec<&str> = std::iter::once("program").chain(words.iter().map(String::as_str)).collect();
        let text = shlex::try_join(all.iter().copied()).expect("no NUL");
        let script = execpolicy::shell::read(text.as_bytes());
        prop_assert_eq!(script.doubt, None, "{}", text);
        prop_assert_eq!(script.commands.len(), 1, "{}", text);
        let found: Vec<&[u8]> = script.commands[0].words.iter().map(|word| word.bytes.as_slice()).collect();
        let expected: Vec<&[u8]> = all.iter().map(|word| word.as_bytes()).collect();
        prop_assert_eq!(found, expected, "{}", text);
        prop_assert!(script.commands[0].words.iter().all(|word| word.certain));
    }

    #[test]
    fn any_bytes_can_be_judged(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4), rules in rules()) {
        let policy = policy(&rules);
        let words: Vec<OsString> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned().into()).collect();
        let _ = decide(&policy, &words);
        let script = [OsString::from("sh"), OsString::from("-c"), words[0].clone()];
        let _ = decide(&policy, &script);
    }
}
