//! Rules that are valid and do nothing, or not what their author thinks.

use std::collections::BTreeSet;

use crate::decision::Decision;
use crate::pattern::{Element, quoted};
use crate::policy::Policy;
use crate::rights::Run;
use crate::rule::{PrefixRule, RuleGrants};

impl Policy {
    /// What is probably a mistake in the rules, a line each, with file and line. The rules hold all the same.
    #[must_use]
    pub fn lint(&self) -> Vec<String> {
        let mut found = Vec::new();
        for rule in self.rules() {
            let told = |text| format!("{}: {text}", rule.origin);
            found.extend(words(rule).map(told));
            found.extend(ancestry(rule).map(told));
            if let Some(RuleGrants::These(grants)) = &rule.grants {
                found.extend(grants.opens().into_iter().map(told));
            }
        }
        for profile in self.profiles().written() {
            let told = |text| format!("{}: profile \"{}\": {text}", profile.origin, profile.name);
            found.extend(profile.grants.opens().into_iter().map(told));
        }
        found.extend(self.hosts_not_held());
        // Alternatives make several rules of one call.
        found.dedup();
        found
    }

    /// Rules that forbid hosts or ask about them, beside one by which a program has the machine's own network. Where an
    /// administrator bounds hosts, none has.
    fn hosts_not_held(&self) -> Vec<String> {
        let leaves = |rule: &&PrefixRule| {
            rule.decision < Decision::Forbidden && rule.run.is_some_and(|run| run >= Run::Outside)
        };
        let Some(leaving) = self.rules().find(leaves).filter(|_| !self.caps().bounds_hosts()) else {
            return Vec::new();
        };
        let held = self.network_rules().iter().filter(|rule| rule.decision > Decision::Allow);
        let told = |origin| {
            format!(
                "{origin}: no rule about hosts holds for what runs outside the sandbox, as by {}; an administrator's deny_hosts does",
                leaving.origin
            )
        };
        held.map(|rule| told(&rule.origin)).collect()
    }

    /// The rules that have no examples, by file and line: nobody has said what they are to match, so nothing
    /// notices when they do not.
    #[must_use]
    pub fn without_examples(&self) -> Vec<String> {
        let tried: BTreeSet<_> = self.examples().iter().map(|example| &example.origin).collect();
        let mut bare: Vec<_> =
            self.rules().map(|rule| &rule.origin).filter(|origin| !tried.contains(origin)).collect();
        bare.dedup();
        bare.into_iter().map(ToString::to_string).collect()
    }
}

/// What a rule that goes by what has started a program does not hold against whoever writes commands.
fn ancestry(rule: &PrefixRule) -> Option<String> {
    let conditions = &rule.conditions;
    let widens = rule.decision == Decision::Allow && rule.run != Some(Run::Inside);
    let condition = match widens {
        true => Some("by").filter(|_| !conditions.by.is_empty()),
        false => Some("not_by").filter(|_| rule.decision > Decision::Allow && !conditions.not_by.is_empty()),
    }?;
    Some(format!(
        "{condition} is no boundary against who writes commands: files that commands can write may say what these programs start; \
         where that matters, let the rule ask (\"prompt\")"
    ))
}

/// What is odd about a rule's words.
fn words(rule: &PrefixRule) -> impl Iterator<Item = String> {
    let program = rule.program.literals().into_iter().filter_map(program);
    program.chain(rule.arguments.iter().flat_map(Element::literals).filter_map(argument))
}

fn program(word: &str) -> Option<String> {
    let shown = quoted(word);
    if let Some((name, rest)) = word.trim().split_once(char::is_whitespace) {
        let rest =
            rest.split_whitespace().filter(|word| *word != "*").map(|word| format!(", {}", quoted(word)));
        let meant: String = rest.collect();
        return Some(format!(
            "no program is called {shown}; a pattern has one string for each word: [{}{meant}]",
            quoted(name)
        ));
    }
    if word.trim() != word {
        return Some(format!("no program is called {shown}; write {}", quoted(word.trim())));
    }
    if word.starts_with('~') {
        return Some(format!(
            "\"~\" is not replaced in a pattern, so {shown} is no program; write its full path"
        ));
    }
    if word.contains('/') && !word.starts_with('/') {
        let name = word.rsplit('/').next().unwrap_or_default();
        return Some(format!(
            "programs are known by name or by full path, so {shown} is none; write {}",
            quoted(name)
        ));
    }
    wildcard(word)
}

fn argument(word: &str) -> Option<String> {
    if !word.is_empty() && word.trim() != word {
        let shown = quoted(word);
        return Some(format!("an argument is hardly {shown}, with blanks at its ends"));
    }
    if word == "*" {
        return Some(
            "\"*\" stands for itself; what follows a pattern does not matter, so leave it out".into(),
        );
    }
    wildcard(word)
}

fn wildcard(word: &str) -> Option<String> {
    let shown = quoted(word);
    word.contains('*')
        .then(|| format!("{shown} stands for itself; for a pattern of names write glob({shown})"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Policy;

    fn lint(pattern: &str) -> Vec<String> {
        let text = format!("prefix_rule({pattern}, \"prompt\")\n");
        Policy::from_text(Path::new("x.rules"), &text).unwrap().lint()
    }

    #[test]
    fn patterns_that_fit_nothing_are_named_with_what_was_meant() {
        for (pattern, expected) in [
            (
                r#"["git push"]"#,
                r#"x.rules:1: no program is called "git push"; a pattern has one string for each word: ["git", "push"]"#,
            ),
            (r#"["git *"]"#, r#"a pattern has one string for each word: ["git"]"#),
            (r#"["*"]"#, r#"write glob("*")"#),
            (r#"["~/bin/x"]"#, r#""~" is not replaced in a pattern"#),
            (r#"["./deploy.sh"]"#, r#"write "deploy.sh""#),
            (r#"["git "]"#, r#"no program is called "git "; write "git""#),
            (r#"["git", "push "]"#, r#"an argument is hardly "push ""#),
            (r#"["git", "*"]"#, "leave it out"),
            (r#"["ls", "*.txt"]"#, r#"write glob("*.txt")"#),
            (r#"[["git", "hg push"]]"#, r#"["hg", "push"]"#),
        ] {
            let found = lint(pattern);
            assert!(matches!(&found[..], [one] if one.contains(expected)), "{pattern}: {found:?}");
        }
        for fine in [
            r#"["git", "push"]"#,
            r#"["/opt/x", "a b"]"#,
            r#"["git", glob("*")]"#,
            r#"["test", ""]"#,
            r#"[regex(".*")]"#,
        ] {
            assert_eq!(lint(fine), [""; 0], "{fine}");
        }
    }

    #[test]
    fn grants_that_open_much_are_named_with_what_they_open() {
        for (rule, expected) in [
            (
                "prefix_rule([\"a\"], grants={\"hosts\": [\"*\"]})",
                "x.rules:1: hosts `*` opens the whole network",
            ),
            ("prefix_rule([\"a\"], grants={\"read\": [\"/\"]})", "read `/` shows every secret"),
            ("prefix_rule([\"a\"], grants={\"read\": [\"~/\"]})", "read `~` shows every secret"),
            ("prefix_rule([\"a\"], grants={\"read\": [\"$CODEX_HOME\"]})", "shows what the server keeps"),
            (
                "profile(\"p\", protected=[\".git/hooks\"])",
                "x.rules:1: profile \"p\": protected `.git/hooks` can be written",
            ),
            (
                "prefix_rule([\"a\"], grants={\"sockets\": [\"/run/docker.sock\"]})",
                "does what it is told with root's rights",
            ),
        ] {
            let found = Policy::from_text(Path::new("x.rules"), rule).unwrap().lint();
            assert!(matches!(&found[..], [one] if one.contains(expected)), "{rule}: {found:?}");
        }
        let fine = "prefix_rule([\"a\"], grants={\"read\": [\"~/.config/gh\"], \"hosts\": [\"*.test\"]})";
        assert_eq!(Policy::from_text(Path::new("x.rules"), fine).unwrap().lint(), [""; 0]);
    }

    #[test]
    fn rules_about_hosts_are_named_where_programs_run_outside() {
        let forbids = "network_rule(host=\"a.test\", decision=\"forbidden\")\n";
        for (rule, expected) in [
            ("prefix_rule([\"a\"], run=\"outside\")", 1),
            ("prefix_rule([\"a\"], \"prompt\", run=\"unconfined\")", 1),
            ("prefix_rule([\"a\"], run=\"inside\")", 0),
        ] {
            let found = Policy::from_text(Path::new("x.rules"), &format!("{forbids}{rule}")).unwrap().lint();
            let named = found.iter().filter(|line| line.contains("x.rules:1: no rule about hosts holds"));
            assert_eq!(named.count(), expected, "{rule}: {found:?}");
        }
        let allows =
            "network_rule(host=\"a.test\", decision=\"allow\")\nprefix_rule([\"a\"], run=\"outside\")";
        let found = Policy::from_text(Path::new("x.rules"), allows).unwrap().lint();
        assert!(found.iter().all(|line| !line.contains("hosts holds")), "{found:?}");
    }

    #[test]
    fn rules_without_examples_are_listed() {
        let text = "prefix_rule([\"a\"], match = [\"a\"])\nprefix_rule([[\"b\", \"c\"]])\n";
        let policy = Policy::from_text(Path::new("x.rules"), text).unwrap();
        assert_eq!(policy.without_examples(), ["x.rules:2"]);
    }
}
