//! The environment of an escalated program: the server's, with those changes of the command that are known to be
//! harmless.
//!
//! The server's environment is what the user started it with, so it is what the user's own `git push` would get. What
//! the script set may redirect the program, so it is dropped and named, unless it is on a short list or a rule demands
//! it by `env={…}`. Nobody is at a terminal there, and `PATH` holds nothing that commands can write.

mod allowed;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use execpolicy::RuleMatch;
use execpolicy::conditions::EnvTest;

use self::allowed::{ALONE, NOBODY_THERE, Passage};
use crate::config::Variables;
use crate::visible::{shortened, visible};

/// Where a call's changes to the environment begin.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// The server's own, as it was when it started.
    server: Arc<Variables>,
    /// What the call's shell was given; what differs from it is the script's doing.
    given: Variables,
    /// What the user's start-up files have set in it, which is not the script's doing either.
    start_up_files: Variables,
}

/// What an escalated program gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prepared {
    /// All variables.
    pub(super) variables: Variables,
    /// Names that the command changed and that were dropped, readable.
    pub(super) dropped: Vec<String>,
    /// What the command changed and is passed, `NAME=value`, readable; long values are cut.
    pub(super) changed: Vec<String>,
}

impl Environment {
    /// The environment of the server, and what a call's shell was given of it, `NAME=value` each.
    pub(crate) fn new(server: Arc<Variables>, given: &[OsString]) -> Environment {
        let start_up_files = Variables::new();
        Environment { server, given: variables_of(given), start_up_files }
    }

    /// With what start-up files have set, `NAME=value` each: it is judged as any other change, but nobody is told of
    /// it.
    pub(crate) fn with_start_up_files(self, exported: &[OsString]) -> Environment {
        Environment { start_up_files: variables_of(exported), ..self }
    }

    /// Prepares the environment of an escalated program from what the command would have given it. `rules` are those
    /// that speak for it: a variable that one of them demands is passed, as are those that are `granted`. `search_path` takes the place of the server's
    /// `PATH`.
    pub(super) fn prepare<'r>(
        &self,
        wanted: &[(OsString, OsString)],
        rules: impl Iterator<Item = &'r RuleMatch> + Clone,
        granted: &[String],
        search_path: &OsStr,
    ) -> Prepared {
        let mut prepared = Prepared { variables: (*self.server).clone(), ..Prepared::default() };
        // Of a name that occurs twice the first counts, for getenv(3) and for rules.
        let mut unique: BTreeMap<&OsStr, &OsStr> = BTreeMap::new();
        for (name, value) in wanted.iter().filter(|(name, _)| !name.is_empty()) {
            unique.entry(name).or_insert(value);
        }
        let wanted = unique;
        let demanded = |name: &OsStr| {
            rules.clone().any(|matched| demands(matched, name))
                || granted.iter().any(|pattern| allowed::fits(pattern, name.as_bytes()))
        };
        for (name, value) in &wanted {
            let is_given = self.given.get(*name).is_some_and(|given| given == value);
            if is_given || self.server.get(*name).is_some_and(|own| own == value) {
                // The shell was started with it, by the server or the user's settings. What is true inside only stays
                // there.
                if is_given && !is_the_sandboxs_own(name) {
                    prepared.variables.insert((*name).to_owned(), (*value).to_owned());
                }
                continue;
            }
            let is_told =
                self.start_up_files.get(*name).is_none_or(|set| set != value) && !is_shells_own(name);
            if passes(name, value) || demanded(name) {
                prepared.variables.insert((*name).to_owned(), (*value).to_owned());
                // Whoever has set it: start-up files may read what a command has written.
                if !is_shells_own(name) {
                    prepared.changed.push(format!("{}={}", readable(name), quoted(&readable(value))));
                }
            } else if is_told {
                prepared.dropped.push(readable(name));
            }
        }
        for name in self.given.keys().filter(|name| !wanted.contains_key(name.as_os_str())) {
            if passes(name, OsStr::new("")) {
                prepared.variables.remove(name);
            } else if self.server.contains_key(name) && !is_the_sandboxs_own(name) && !is_shells_own(name) {
                prepared.dropped.push(format!("{} (unset)", readable(name)));
            }
        }
        if !demanded(OsStr::new("PATH")) {
            prepared.variables.insert("PATH".into(), search_path.to_owned());
        }
        for (name, value) in NOBODY_THERE.iter().filter(|(name, _)| !demanded(OsStr::new(name))) {
            let leaves_it =
                wanted.get(OsStr::new(name)).is_some_and(|value| allowed::leaves_the_text(name, value));
            let value = if leaves_it { ALONE } else { value };
            prepared.variables.insert((*name).into(), value.into());
        }
        prepared
    }
}

impl Environment {
    /// Whether a command may have steered a program by its environment: it has changed what does not leave the sandbox.
    pub(super) fn is_steered_by(&self, wanted: &[(OsString, OsString)]) -> bool {
        let is_known = |name: &OsStr, value: &OsStr| {
            let mut known = [&self.given, &self.start_up_files].into_iter();
            known.any(|known| known.get(name).is_some_and(|known| known == value))
        };
        wanted
            .iter()
            .any(|(name, value)| !is_known(name, value) && !is_shells_own(name) && !passes(name, value))
    }

    /// Prepares the environment of a program that gets more inside the sandbox than commands: theirs as it was at first,
    /// and of what the command has changed no more than leaves the sandbox. Of the search path it gets no folder that
    /// commands can write.
    pub(super) fn prepare_inside(
        &self,
        wanted: &[(OsString, OsString)],
        granted: &[String],
        without_written: impl Fn(&OsStr) -> OsString,
    ) -> Prepared {
        let mut prepared = Prepared { variables: self.given.clone(), ..Prepared::default() };
        let mut unique: BTreeMap<&OsStr, &OsStr> = BTreeMap::new();
        for (name, value) in wanted.iter().filter(|(name, _)| !name.is_empty()) {
            unique.entry(name).or_insert(value);
        }
        let is_granted = |name: &OsStr| granted.iter().any(|pattern| allowed::fits(pattern, name.as_bytes()));
        for (name, value) in &unique {
            let is_users = [&self.given, &self.start_up_files]
                .iter()
                .any(|known| known.get(*name).is_some_and(|known| known == value));
            let is_free = is_granted(name);
            if *name == "PATH" && !is_free {
                let left = without_written(value);
                if left != *value && !is_users {
                    prepared.dropped.push("PATH (folders that commands can write)".to_owned());
                }
                prepared.variables.insert("PATH".into(), left);
            } else if is_users || is_free || passes(name, value) {
                prepared.variables.insert((*name).to_owned(), (*value).to_owned());
                if !is_users && !is_shells_own(name) {
                    prepared.changed.push(format!("{}={}", readable(name), quoted(&readable(value))));
                }
            } else if !is_shells_own(name) {
                prepared.dropped.push(readable(name));
            }
        }
        for name in self.given.keys().filter(|name| !unique.contains_key(name.as_os_str())) {
            if passes(name, OsStr::new("")) || is_granted(name) {
                prepared.variables.remove(name);
            } else if !is_shells_own(name) {
                prepared.dropped.push(format!("{} (unset)", readable(name)));
            }
        }
        prepared
    }

    /// A variable of the server's own.
    pub(super) fn of_server(&self, name: &str) -> Option<OsString> {
        self.server.get(OsStr::new(name)).cloned()
    }
}

/// Takes `NAME=value` apart.
fn variables_of(entries: &[OsString]) -> Variables {
    let pair = |entry: &OsString| {
        let bytes = entry.as_bytes();
        let (name, value) = bytes.split_at(bytes.iter().position(|byte| *byte == b'=')?);
        let value = value.get(1..).unwrap_or_default();
        Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value).to_owned()))
    };
    entries.iter().filter_map(pair).collect()
}

/// Whether a rule demands a variable, and its match therefore knows its value.
fn demands(matched: &RuleMatch, name: &OsStr) -> bool {
    demanded(matched).any(|demanded| demanded.as_bytes() == name.as_bytes())
}

/// The variables that a rule demands.
pub(super) fn demanded(matched: &RuleMatch) -> impl Iterator<Item = String> + '_ {
    let is_set = |test: &EnvTest| match test {
        EnvTest::Set | EnvTest::Fits(_) => true,
        EnvTest::Unset => false,
    };
    matched.rule.conditions.env.iter().filter(move |(_, test)| is_set(test)).map(|(name, _)| name.clone())
}

/// Whether a changed variable is passed.
fn passes(name: &OsStr, value: &OsStr) -> bool {
    let value = value.as_bytes();
    // A shell would take it over as a function (sudo env_delete).
    let is_function = value.starts_with(b"()");
    let is_plain = |value: &[u8]| !value.contains(&b'%') && !value.windows(2).any(|two| two == b"..");
    match allowed::passage(name.as_bytes()) {
        _ if is_function => false,
        Some(Passage::Directory) => value.is_empty() || value.starts_with(b"/"),
        Some(Passage::Count) => value.len() < 10 && value.iter().all(u8::is_ascii_digit),
        // Below a directory that a program looks in, a relative path is one, too.
        Some(Passage::NoPath) => is_plain(value) && !value.contains(&b'/'),
        // `Europe/Paris` is looked up below one directory that nobody else writes.
        Some(Passage::TimeZone) => is_plain(value) && !value.starts_with(b"/") && !value.starts_with(b":"),
        None => false,
    }
}

/// What every shell changes, so that nobody learns from it.
fn is_shells_own(name: &OsStr) -> bool {
    ["PWD", "OLDPWD", "SHLVL", "_"].iter().any(|own| name == *own)
}

/// What a sandbox sets for those inside, and what is not true outside.
fn is_the_sandboxs_own(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"CODEX_SANDBOX")
        || ["TMPDIR", "TMP", "TEMP"].iter().any(|folder| name == *folder)
}

/// Names and values are shown to people, and may be anything.
fn readable(text: &OsStr) -> String {
    const LONGEST: usize = 80;
    shortened(&visible(text.as_bytes()), LONGEST)
}

/// A value as a shell would need it, so that nobody takes a part of it for another variable.
fn quoted(value: &str) -> String {
    shlex::try_quote(value).map_or_else(|_| value.to_owned(), Into::into)
}

/// Variables as execve(2) takes them.
pub(super) fn entries(variables: &Variables) -> Vec<OsString> {
    variables
        .iter()
        .map(|(name, value)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            entry
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use execpolicy::{Command, Options, Policy};

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn list(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        variables(pairs).into_iter().collect()
    }

    const SERVER: &[(&str, &str)] =
        &[("PATH", "/usr/bin"), ("HOME", "/home/u"), ("SSH_AUTH_SOCK", "/run/agent"), ("A", "1")];

    fn environment() -> Environment {
        // The sandbox hides the agent's socket, and the user's settings add a variable.
        let given = variables(&[("PATH", "/usr/bin"), ("HOME", "/home/u"), ("A", "1"), ("SET", "x")]);
        Environment::new(Arc::new(variables(SERVER)), &entries(&given))
    }

    fn with_nobody_there(pairs: &[(&str, &str)]) -> Variables {
        variables(pairs).into_iter().chain(variables(NOBODY_THERE)).collect()
    }

    #[test]
    fn an_unchanged_environment_is_the_servers_with_what_the_user_set_for_commands() {
        let wanted =
            list(&[("PATH", "/usr/bin"), ("HOME", "/home/u"), ("A", "1"), ("SET", "x"), ("PWD", "/w")]);
        let prepared = environment().prepare(&wanted, std::iter::empty(), &[], OsStr::new("/usr/bin"));
        let mut expected = with_nobody_there(SERVER);
        expected.extend(variables(&[("SET", "x"), ("PWD", "/w")]));
        assert_eq!(prepared, Prepared { variables: expected, ..Prepared::default() });
    }

    #[test]
    fn harmless_changes_pass_and_all_others_are_dropped_and_named() {
        let wanted = list(&[
            ("PATH", "/ws:/usr/bin"),
            ("HOME", "/home/u"),
            ("A", "2"),
            ("SET", "x"),
            ("NEW", "x"),
            ("LD_PRELOAD", "/ws/x.so"),
            ("BASH_FUNC_git%%", "() { :; }"),
            ("LANGUAGE", "() { :; }; x"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "../../ws/locale"),
            ("TERM", "xterm"),
        ]);
        let prepared = environment().prepare(&wanted, std::iter::empty(), &[], OsStr::new("/usr/bin"));
        assert_eq!(
            prepared.dropped,
            ["A", "BASH_FUNC_git%%", "LANGUAGE", "LC_ALL", "LD_PRELOAD", "NEW", "PATH", "TERM"]
        );
        assert_eq!(prepared.changed, ["LANG=C.UTF-8"]);
        let mut expected = with_nobody_there(SERVER);
        expected.extend(variables(&[("SET", "x"), ("LANG", "C.UTF-8")]));
        assert_eq!(prepared.variables, expected);
    }

    #[test]
    fn what_may_be_a_path_does_not_pass() {
        for (name, value, is_passed) in [
            ("LC_ALL", "de_DE.UTF-8", true),
            ("LC_ALL", "a/b", false),
            ("LANG", "x/y", false),
            ("PWD", "/w", true),
            ("PWD", "a/b", false),
            ("OLDPWD", "-x", false),
            ("SHLVL", "2", true),
            ("SHLVL", "x", false),
            ("TZ", "Europe/Paris", true),
            ("TZ", "/etc/x", false),
            ("TZ", "a/../b", false),
        ] {
            assert_eq!(passes(OsStr::new(name), OsStr::new(value)), is_passed, "{name}={value}");
        }
    }

    #[test]
    fn what_the_script_unset_stays_as_the_user_has_it_unless_it_is_harmless() {
        let server = variables(&[("HOME", "/home/u"), ("LANG", "C"), ("A", "1")]);
        let environment = Environment::new(Arc::new(server.clone()), &entries(&server));
        let prepared =
            environment.prepare(&list(&[("A", "1")]), std::iter::empty(), &[], OsStr::new("/usr/bin"));
        assert_eq!(
            prepared.variables,
            with_nobody_there(&[("A", "1"), ("HOME", "/home/u"), ("PATH", "/usr/bin")])
        );
        assert_eq!(prepared.dropped, ["HOME (unset)"]);
    }

    #[test]
    fn with_grants_inside_a_program_gets_the_commands_first_environment_with_harmless_changes() {
        let start_up = entries(&variables(&[("JAVA_HOME", "/opt/java"), ("NODE_OPTIONS", "--user")]));
        let environment = environment().with_start_up_files(&start_up);
        let wanted = list(&[
            ("PATH", "/ws:/usr/bin"),
            ("HOME", "/home/u"),
            ("A", "1"),
            ("SET", "y"),
            ("JAVA_HOME", "/opt/java"),
            ("NODE_OPTIONS", "--require=/ws/x.js"),
            ("LD_PRELOAD", "/ws/x.so"),
            ("LANG", "C.UTF-8"),
            ("FOO_A", "a b"),
        ]);
        let prepared =
            environment.prepare_inside(&wanted, &["FOO_*".to_owned()], |_| OsString::from("/usr/bin"));
        let expected = variables(&[
            ("PATH", "/usr/bin"),
            ("HOME", "/home/u"),
            ("A", "1"),
            ("SET", "x"),
            ("JAVA_HOME", "/opt/java"),
            ("LANG", "C.UTF-8"),
            ("FOO_A", "a b"),
        ]);
        assert_eq!(prepared.variables, expected);
        assert_eq!(prepared.changed, ["FOO_A='a b'", "LANG=C.UTF-8"]);
        let dropped = ["LD_PRELOAD", "NODE_OPTIONS", "PATH (folders that commands can write)", "SET"];
        assert_eq!(prepared.dropped, dropped);
        let all = environment.prepare_inside(&wanted, &["*".to_owned()], OsStr::to_owned);
        assert_eq!((all.variables, all.dropped), (wanted.into_iter().collect(), Vec::<String>::new()));
    }

    #[test]
    fn a_rule_that_demands_a_variable_lets_it_through() {
        let rules = "prefix_rule([\"make\"], env = {\"MAKEFLAGS\": \"-j4\", \"PAGER\": \"less\", \"LD_PRELOAD\": None})";
        let policy = Policy::from_text(Path::new("x.rules"), rules).unwrap();
        let wanted = list(&[
            ("MAKEFLAGS", "-j4"),
            ("PAGER", "less"),
            ("CC", "/ws/cc"),
            ("PATH", "/usr/bin"),
            ("HOME", "/home/u"),
        ]);
        let command = Command::new::<str, &str>("make", &[]).with_environment(&wanted);
        let evaluation = policy.evaluate(&command, &Options::default());
        let prepared =
            environment().prepare(&wanted, evaluation.matches().iter(), &[], OsStr::new("/usr/bin"));
        for (name, value) in [("MAKEFLAGS", "-j4"), ("PAGER", "less")] {
            assert_eq!(prepared.variables.get(OsStr::new(name)), Some(&OsString::from(value)));
        }
        assert_eq!(prepared.dropped, ["CC", "A (unset)"]);
    }
}
