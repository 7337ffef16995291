//! What rules give: the words for it, mistakes in them, and which of several rights win.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use execpolicy::rights::{Grants, HostPattern, Place, Source, Surroundings, Tool};
use execpolicy::{Command, Options, Plain, Policy, Rights, Run};
use proptest::prelude::*;

const BY_PROGRAM: Options = Options {
    plain: Plain::ByProgram,
    program_token: execpolicy::ProgramToken::Basename,
    heuristics: execpolicy::Heuristics::NONE,
    nested: execpolicy::Nested::Judged,
};

fn policy(text: &str) -> Policy {
    let mut policy = Policy::empty();
    let file = Path::new("/home/me/.codex/shell-tool/rules/x.rules");
    policy.add_text(file, text, None).unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert!(policy.problems().is_empty(), "{text}: {:?}", policy.problems());
    policy
}

fn rights_in(policy: &Policy, line: &str) -> Rights {
    let words: Vec<&str> = line.split(' ').collect();
    policy.evaluate(&Command::from_words(&words).unwrap(), &BY_PROGRAM).rights().clone()
}

fn rights(text: &str, line: &str) -> Rights {
    rights_in(&policy(text), line)
}

#[test]
fn a_rule_that_says_nothing_gives_what_its_kind_of_program_needs() {
    for (rule, line, run, profile) in [
        ("prefix_rule([\"git\", \"push\"])", "git push", Run::Confined, Some("git")),
        ("prefix_rule([\"git\", \"push\"], \"prompt\")", "/usr/bin/git push", Run::Confined, Some("git")),
        ("prefix_rule([\"gh\"])", "gh pr view", Run::Confined, Some("gh")),
        ("prefix_rule([\"ssh\", \"host\"])", "ssh host ls", Run::Confined, Some("ssh")),
        ("prefix_rule([\"kubectl\", \"get\"])", "kubectl get pods", Run::Confined, Some("kubectl")),
        ("prefix_rule([\"cargo\"])", "cargo build", Run::Inside, Some("cargo")),
        ("prefix_rule([\"npm\", \"ci\"])", "npm ci", Run::Inside, Some("npm")),
        ("prefix_rule([\"make\"])", "make test", Run::Inside, None),
        ("prefix_rule([\"python3.12\", \"x.py\"])", "python3.12 x.py", Run::Inside, None),
        ("prefix_rule([\"cat\"])", "cat x", Run::Inside, None),
        ("prefix_rule([\"env\"])", "env X=1 ls", Run::Inside, None),
        ("prefix_rule([\"curl\"])", "curl x", Run::Outside, None),
        ("prefix_rule([\"terminal-notifier\"])", "terminal-notifier x", Run::Outside, None),
        ("prefix_rule([\"git\"], run=\"unconfined\")", "git push", Run::Unconfined, None),
        ("prefix_rule([\"git\"], run=\"inside\")", "git push", Run::Inside, None),
        ("prefix_rule([\"git\"], run=\"confined\")", "git push", Run::Confined, Some("git")),
        ("prefix_rule([\"make\"], run=\"outside\")", "make x", Run::Outside, None),
        ("prefix_rule([\"make\"], grants=\"npm\")", "make x", Run::Inside, None),
        ("prefix_rule([\"tool\"], profile=\"git\")", "tool x", Run::Confined, Some("git")),
        ("prefix_rule([\"tool\"], profile=\"git\", run=\"inside\")", "tool x", Run::Inside, Some("git")),
        ("profile(\"tool\", run=\"confined\")\nprefix_rule([\"tool\"])", "tool", Run::Confined, Some("tool")),
        ("prefix_rule([\"rm\"], \"forbidden\")", "rm x", Run::Inside, None),
    ] {
        let rights = rights(rule, line);
        let found = rights.profile.as_ref().map(|profile| profile.as_str());
        assert_eq!((rights.run, found), (run, profile), "{rule}");
    }
    let inside = rights("prefix_rule([\"rm\", \"-rf\"], run=\"inside\")", "rm -rf x");
    assert!(inside.is_none(), "{inside:?}");
    let npm = rights("prefix_rule([\"npm\", \"ci\"])", "npm ci");
    assert_eq!(npm.grants.configured_hosts, [Tool::Npm]);
    assert_eq!(npm.source, Source::ProfileOfProgram);
    let plain = Options { plain: Plain::Unconfined, ..BY_PROGRAM };
    let git = policy("prefix_rule([\"git\"])");
    let words = ["git", "push"];
    assert_eq!(git.evaluate(&Command::from_words(&words).unwrap(), &plain).rights().run, Run::Unconfined);
}

#[test]
fn of_several_rules_the_smaller_rights_win_whatever_their_order() {
    for (one, other, run, hosts) in [
        ("", "run=\"unconfined\"", Run::Outside, ""),
        ("run=\"inside\"", "run=\"outside\"", Run::Inside, ""),
        (
            "grants={\"hosts\": [\"a.test\", \"b.test\"]}",
            "grants={\"hosts\": [\"*.test\", \"c.test\"]}",
            Run::Inside,
            "a.test b.test",
        ),
        ("grants={\"hosts\": [\"a.test\"]}", "run=\"unconfined\"", Run::Inside, "a.test"),
        ("grants={\"hosts\": [\"a.test\"]}", "run=\"inside\"", Run::Inside, ""),
        (
            "run=\"confined\", grants={\"hosts\": [\"a.test\"]}",
            "grants={\"hosts\": [\"a.test:1\"]}",
            Run::Inside,
            "a.test:1",
        ),
    ] {
        let rule = |arguments: &str| format!("prefix_rule([\"t\"], {arguments})\n");
        for text in [rule(one) + &rule(other), rule(other) + &rule(one)] {
            let found = rights(&text, "t x");
            let names: Vec<String> = found.grants.hosts.iter().map(ToString::to_string).collect();
            assert_eq!((found.run, names.join(" ")), (run, hosts.to_owned()), "{text}");
        }
    }
}

#[test]
fn an_answer_gives_no_more_than_the_rule_whose_question_it_settles() {
    let ask = "prefix_rule([\"t\"], \"prompt\", grants={\"hosts\": [\"a.test\"]})\n";
    let answer =
        |arguments: &str| format!("{ask}prefix_rule([\"t\", \"x\"], overrides_prompt=True{arguments})\n");
    assert_eq!(rights(&answer(", run=\"unconfined\""), "t x").run, Run::Inside);
    assert_eq!(rights(&answer(", run=\"unconfined\""), "t x").grants.hosts.len(), 1);
    assert!(rights(&answer(", run=\"inside\""), "t x").is_none());
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, expected) in [
        (
            "prefix_rule([\"a\"], run=\"insid\")",
            "run is \"inside\", \"confined\", \"outside\" or \"unconfined\" (got `insid`); did you mean \"inside\"?",
        ),
        ("prefix_rule([\"a\"], \"forbidden\", run=\"inside\")", "run is for rules that allow or ask"),
        ("prefix_rule([\"a\"], \"forbidden\", profile=\"git\")", "profile is for rules that allow or ask"),
        ("prefix_rule([\"a\"], \"forbidden\", grants={})", "grants is for rules that allow or ask"),
        (
            "prefix_rule([\"a\"], grants={\"host\": []})",
            "grants have no member \"host\"; they have read, write, hosts",
        ),
        ("prefix_rule([\"a\"], grants={\"host\": []})", "did you mean \"hosts\"?"),
        ("prefix_rule([\"a\"], grants={1: []})", "the members of grants are strings"),
        ("prefix_rule([\"a\"], grants=[])", "grants is the name of a profile, or a dictionary (got list)"),
        ("prefix_rule([\"a\"], grants={\"read\": \"/x\"})", "read must be a list of strings (got string)"),
        ("prefix_rule([\"a\"], grants={\"read\": [1]})", "read must hold strings (got int)"),
        ("prefix_rule([\"a\"], grants={\"read\": [\"x\"]})", "read: `x` is no absolute path"),
        ("prefix_rule([\"a\"], grants={\"write\": [\"~/../x\"]})", "write: `~/../x` goes up by `..`"),
        ("prefix_rule([\"a\"], grants={\"write\": [\"/\"]})", "write `/` gives all that is there"),
        ("prefix_rule([\"a\"], grants={\"write\": [\"~/\"]})", "write `~` gives all that is there"),
        ("prefix_rule([\"a\"], grants={\"write\": [\"$CODEX_HOME/rules\"]})", "the rules are there"),
        ("prefix_rule([\"a\"], grants={\"write\": [\"~/.codex\"]})", "the rules are there"),
        ("prefix_rule([\"a\"], grants={\"hosts\": [\"https://x\"]})", "hosts: `https://x` is no host"),
        ("prefix_rule([\"a\"], grants={\"hosts\": [regex(\"x\")]})", "hosts must hold strings"),
        ("prefix_rule([\"a\"], grants={\"hosts\": [configured_hosts(\"carg\")]})", "did you mean \"cargo\"?"),
        ("prefix_rule([\"a\"], grants={\"devices\": [\"kvm\"]})", "devices: `kvm` is no device"),
        ("prefix_rule([\"a\"], grants={\"env\": [\"A=B\"]})", "env: `A=B` is no name of a variable"),
        (
            "prefix_rule([\"a\"], grants={\"protected\": [\"../x\"]})",
            "protected: `../x` is no protected name",
        ),
        ("prefix_rule([\"a\"], grants={\"may_run\": [\"x y\"]})", "may_run: `x y` is no program"),
        ("prefix_rule([\"a\"], grants={\"tty\": 1})", "tty is True or False (got int)"),
        ("prefix_rule([\"a\"], run=\"unconfined\", grants={})", "what runs unconfined has everything"),
        ("profile(\"a b\")", "`a b` is no name of a profile"),
        ("profile(\"a\", colour = 1)", "profile has no argument \"colour\"; it has name, base, run"),
        ("profile(\"a\", run = \"all\")", "(got `all`)"),
        ("profile(\"a\", warning = \"\")", "justification cannot be empty"),
    ] {
        let error = Policy::from_text(Path::new("x.rules"), &format!("\n {text}\n").replace("\n ", "\n"))
            .expect_err(text)
            .to_string();
        assert!(error.contains(expected), "{text}:\n{error}");
        assert!(error.contains("x.rules:2:"), "{text}:\n{error}");
    }
}

#[test]
fn an_administrator_bounds_what_anybody_gives() {
    let bounded = |bounds: &str, rule: &str| {
        let mut policy = policy(rule);
        policy.add_requirements(Path::new("r.toml"), &format!("[shell_tool]\n{bounds}\n")).unwrap();
        rights_in(&policy, "t")
    };
    let around = Surroundings {
        variable: &|_| None,
        home: Some(Path::new("/home/me")),
        repository: None,
        configured: &|_| vec![HostPattern::parse("internal.test").unwrap()],
    };
    let found = bounded("max_run = \"confined\"", "prefix_rule([\"t\"], run=\"unconfined\")");
    assert_eq!((found.run, found.is_capped), (Run::Confined, true));
    let rule = "prefix_rule([\"t\"], grants={\"hosts\": [\"a.test\", \"b.example\", configured_hosts(\"npm\")], \
                \"read\": [\"~/.aws\", \"~/.aws/x\", \"/srv/a\"], \"write\": [\"/srv/b\"]})";
    let found = bounded("grant_hosts = [\"*.example\"]\ngrant_paths = [\"/srv\"]", rule).granted(&around);
    assert_eq!(found.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b.example"]);
    assert_eq!((found.read, found.write), (vec![PathBuf::from("/srv/a")], vec![PathBuf::from("/srv/b")]));
    let found =
        bounded("deny_read = [\"/home/me/.aws\"]\ndeny_write = [\"/srv\"]\ndeny_hosts = [\"*.test\"]", rule)
            .granted(&around);
    assert_eq!(found.read, [PathBuf::from("/srv/a")]);
    assert!(found.write.is_empty());
    assert_eq!(found.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b.example"]);
    assert_eq!(found.denied_read, [PathBuf::from("/home/me/.aws")]);
    assert_eq!(found.left_out.len(), 5, "{:?}", found.left_out);
    // What is denied is denied to what has everything, too.
    let found = bounded("deny_read = [\"~/.aws\"]", "prefix_rule([\"t\"], run=\"unconfined\")");
    assert_eq!((found.run, found.is_capped), (Run::Outside, true));
    // Other bounds leave the rules as they are.
    assert!(
        !bounded("grant_hosts = [\"a.test\"]", "prefix_rule([\"t\"], grants={\"hosts\": [\"a.test:1\"]})")
            .is_capped
    );
}

/// What a grant may hold, in a few values that overlap.
fn grants() -> impl Strategy<Value = Grants> {
    let places = prop::sample::subsequence(vec!["/a", "/a/b", "/a/b/c", "~/x", "~/x/y", "$V/z", "/"], 0..4);
    let hosts = prop::sample::subsequence(vec!["*", "*.t", "a.t", "a.t:1", "*.a.t", "b.t:1"], 0..4);
    let parsed = |all: Vec<&str>| all.into_iter().map(|text| Place::parse(text).unwrap()).collect::<Vec<_>>();
    (places.clone(), places, hosts, any::<bool>()).prop_map(move |(read, write, hosts, tty)| Grants {
        read: parsed(read),
        write: parsed(write),
        hosts: hosts.into_iter().map(|text| HostPattern::parse(text).unwrap()).collect(),
        tty,
        ..Grants::default()
    })
}

fn gives(grants: &Grants, place: &Place) -> (bool, bool) {
    let any = |all: &[Place]| all.iter().any(|own| own.holds(place));
    (any(&grants.read) || any(&grants.write), any(&grants.write))
}

proptest! {
    #[test]
    fn what_two_grants_have_in_common_is_what_both_give(one in grants(), other in grants()) {
        let both = one.common(&other);
        for text in ["/a", "/a/b", "/a/b/c", "/a/b/c/d", "~/x", "~/x/y/z", "$V/z", "/e", "~"] {
            let place = Place::parse(text).unwrap();
            let ((read, write), (other_read, other_write)) = (gives(&one, &place), gives(&other, &place));
            prop_assert_eq!(gives(&both, &place), (read && other_read, write && other_write), "{}", text);
        }
        for (host, port) in [("a.t", 1), ("a.t", 2), ("b.t", 1), ("c.a.t", 1), ("x", 1)] {
            let fits = |grants: &Grants| grants.hosts.iter().any(|own| own.fits(host, port));
            prop_assert_eq!(fits(&both), fits(&one) && fits(&other), "{}:{}", host, port);
        }
        prop_assert_eq!(both.tty, one.tty && other.tty);
    }

    #[test]
    fn grants_read_back_as_they_are_written(grants in grants()) {
        let rule = format!("prefix_rule([\"t\"], grants={grants})");
        if let Ok(policy) = Policy::from_text(Path::new("x.rules"), &rule) {
            prop_assert_eq!(&rights_in(&policy, "t").grants, &grants);
        } else {
            prop_assert!(grants.write.contains(&Place::parse("/").unwrap()));
        }
    }

    #[test]
    fn any_text_is_a_place_or_an_error_and_leads_nowhere_else(text in "[/~$.A-Za-z* \\PC]{0,20}", value in "\\PC{0,12}") {
        if let Ok(place) = Place::parse(&text) {
            prop_assert_eq!(Place::parse(place.as_str()), Ok(place.clone()));
            let variable = |_: &str| Some(OsString::from(&value));
            let around = Surroundings {
                variable: &variable,
                home: Some(Path::new("/home/me")),
                repository: None,
                configured: &|_| Vec::new(),
            };
            if let Some(path) = place.expand(&around) {
                prop_assert!(path.is_absolute());
                prop_assert!(path.components().all(|part| part.as_os_str() != ".."));
            }
        }
        if let Ok(host) = HostPattern::parse(&text) {
            prop_assert_eq!(HostPattern::parse(&host.to_string()), Ok(host));
        }
    }
}
