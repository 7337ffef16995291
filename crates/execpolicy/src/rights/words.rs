//! Rights in words: one line for people, and the arguments of a rule.

use std::fmt::{self, Display, Write as _};

use super::caps::Caps;
use super::given::{Rights, Source};
use super::grants::Grants;
use super::run::Run;
use crate::pattern::quoted;

/// Values of one kind that a line names, as many as a caller may ask for; of more it says how many.
const MOST_NAMED: usize = 32;

impl Rights {
    /// Where the rights come from, as a phrase about the rule; `None` where the rule says so itself.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let run = "add run=\"outside\" for more";
        match self.source {
            Source::Nothing | Source::Rule => None,
            Source::ProfileOfProgram => {
                Some("says nothing of rights, and there is a profile of the program's name".to_owned())
            }
            Source::RunsWhatItIsGiven(why) => {
                Some(format!("says nothing of rights, and the program {why}; {run}"))
            }
            Source::PlainRule => Some("says nothing of rights".to_owned()),
            Source::Missing => Some("names a profile that is not there".to_owned()),
        }
    }

    /// What is granted, a line for each kind.
    pub(crate) fn members(&self) -> Vec<String> {
        if self.run == Run::Unconfined { Vec::new() } else { self.grants.members() }
    }

    /// The way to run, in words.
    pub(crate) fn way_in_words(&self) -> String {
        match (self.run, &self.profile) {
            (Run::Inside, None) => "inside the sandbox".to_owned(),
            (Run::Inside, Some(profile)) => {
                format!("inside the sandbox, with what the profile \"{profile}\" grants")
            }
            (Run::Confined, Some(profile)) => format!("confined to what the profile \"{profile}\" names"),
            (Run::Confined, None) => "confined to what its rule names".to_owned(),
            (Run::Outside, _) => {
                "outside the sandbox, with your rights, executing nothing that commands can write".to_owned()
            }
            (Run::Unconfined, _) => "unconfined, with everything that you have".to_owned(),
        }
    }

    /// What a program gets, in one line that follows on what is done with it (`it runs …`): *inside the sandbox, with the
    /// network to packages.example.org, and writing ~/.npm*.
    #[must_use]
    pub fn in_words(&self) -> String {
        let way = match self.run {
            Run::Inside => "inside the sandbox".to_owned(),
            Run::Confined | Run::Outside | Run::Unconfined => self.way_in_words(),
        };
        match self.grants.in_words() {
            Some(grants) if !self.run.has_the_users_rights() => format!("{way}, with {grants}"),
            Some(_) | None => way,
        }
    }
}

impl Grants {
    /// What is granted, as in *the network to packages.example.org, and writing ~/.npm*; `None` when nothing is.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let hosts = self.hosts.iter().map(ToString::to_string);
        let configured =
            self.configured_hosts.iter().map(|tool| format!("the hosts that {tool} is set up for"));
        let hosts: Vec<String> = hosts.chain(configured).collect();
        let mut parts = Vec::new();
        let mut add = |verb: &str, values: Vec<String>| {
            if let Some(values) = listed(&values) {
                parts.push(format!("{verb} {values}"));
            }
        };
        if self.hosts.iter().any(|host| host.is_whole_network()) {
            add("the network to", vec!["every host".to_owned()]);
        } else {
            add("the network to", hosts);
        }
        add("reading", texts(&self.read));
        add("writing", texts(&self.write));
        add("connecting to", texts(&self.sockets));
        add("the devices", self.devices.clone());
        add("writing the protected", self.protected.clone());
        match self.env.iter().any(|name| name == "*") {
            true => add("all variables", vec!["as the command has set them".to_owned()]),
            false => add("the variables", self.env.clone()),
        }
        add("running", self.may_run.clone());
        if self.tty {
            parts.push("the terminal".to_owned());
        }
        if self.stdin {
            parts.push("its input".to_owned());
        }
        let last = parts.pop()?;
        Some(if parts.is_empty() { last } else { format!("{}, and {last}", parts.join(", ")) })
    }
}

fn texts<T: Display>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn listed(values: &[String]) -> Option<String> {
    let named = values.get(..MOST_NAMED.min(values.len()))?;
    match values.len() - named.len() {
        0 => match named {
            [] => None,
            [one] => Some(one.clone()),
            [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
        },
        more => Some(format!("{} and {more} more", named.join(", "))),
    }
}

impl Grants {
    /// What is granted, a line for each kind: `hosts: a.test, b.test`.
    #[must_use]
    pub fn members(&self) -> Vec<String> {
        let configured = self.configured_hosts.iter().map(|tool| format!("those that {tool} is set up for"));
        let hosts = texts(&self.hosts).into_iter().chain(configured).collect();
        let lists = [
            ("hosts", hosts),
            ("read", texts(&self.read)),
            ("write", texts(&self.write)),
            ("sockets", texts(&self.sockets)),
            ("devices", self.devices.clone()),
            ("env", self.env.clone()),
            ("protected", self.protected.clone()),
            ("may_run", self.may_run.clone()),
        ];
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        let lists = lists.map(|(name, values)| format!("{name}: {}", values.join(", ")));
        let flags = [("tty", self.tty), ("stdin", self.stdin)];
        lists
            .chain(flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| format!("{name}: yes")))
            .collect()
    }
}

impl Caps {
    /// What is never given, a phrase each.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let lists = [
            ("reaching", texts(&self.deny_hosts)),
            ("reading", texts(&self.deny_read)),
            ("writing", texts(&self.deny_write)),
        ];
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        lists.map(|(verb, values)| format!("{verb} {}", values.join(", "))).collect()
    }
}

impl Display for Grants {
    /// The grants as a dictionary of the language.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut members = Vec::new();
        let mut add = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                members.push(format!("\"{name}\": [{}]", values.join(", ")));
            }
        };
        let strings = |values: Vec<String>| values.iter().map(|value| quoted(value)).collect::<Vec<_>>();
        let configured =
            self.configured_hosts.iter().map(|tool| format!("configured_hosts({})", quoted(tool.word())));
        add("hosts", strings(texts(&self.hosts)).into_iter().chain(configured).collect());
        add("read", strings(texts(&self.read)));
        add("write", strings(texts(&self.write)));
        add("sockets", strings(texts(&self.sockets)));
        add("devices", strings(self.devices.clone()));
        add("env", strings(self.env.clone()));
        add("protected", strings(self.protected.clone()));
        add("may_run", strings(self.may_run.clone()));
        for (name, is_given) in [("tty", self.tty), ("stdin", self.stdin)] {
            if is_given {
                members.push(format!("\"{name}\": True"));
            }
        }
        formatter.write_char('{')?;
        formatter.write_str(&members.join(", "))?;
        formatter.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Command, Options, Policy, Rights};

    fn rights(rule: &str) -> Rights {
        let policy = Policy::from_text(Path::new("x.rules"), rule).unwrap();
        policy.evaluate(&Command::from_words(&["t"]).unwrap(), &Options::default()).rights().clone()
    }

    #[test]
    fn one_line_says_what_a_program_gets() {
        for (arguments, expected) in [
            ("run=\"inside\"", "inside the sandbox"),
            (
                "grants={\"hosts\": [\"packages.example.org\"], \"write\": [\"~/.npm\"]}",
                "inside the sandbox, with the network to packages.example.org, and writing ~/.npm",
            ),
            (
                "grants={\"read\": [\"/a\", \"/b\"], \"tty\": True, \"env\": [\"X\"]}",
                "inside the sandbox, with reading /a and /b, the variables X, and the terminal",
            ),
            ("grants={\"hosts\": [\"*\"]}", "inside the sandbox, with the network to every host"),
            (
                "grants={\"read\": [\"/a\", \"/b\", \"/c\", \"/d\", \"/e\", \"/f\"]}",
                "inside the sandbox, with reading /a, /b, /c, /d, /e and /f",
            ),
            ("run=\"unconfined\"", "unconfined, with everything that you have"),
        ] {
            assert_eq!(rights(&format!("prefix_rule([\"t\"], {arguments})")).in_words(), expected);
        }
    }

    #[test]
    fn grants_are_written_as_they_are_read() {
        let text = "{\"hosts\": [\"a.test:22\", configured_hosts(\"npm\")], \"read\": [\"~/a b\"], \"write\": [\"$X/y\"], \
                    \"sockets\": [\"/s\"], \"devices\": [\"/dev/kvm\"], \"env\": [\"A_*\"], \"protected\": [\".git/config\"], \
                    \"may_run\": [\"ssh\"], \"tty\": True, \"stdin\": True}";
        let grants = rights(&format!("prefix_rule([\"t\"], grants={text})")).grants;
        assert_eq!(grants.to_string(), text);
        assert_eq!(rights("prefix_rule([\"t\"], grants={})").grants.to_string(), "{}");
    }
}
