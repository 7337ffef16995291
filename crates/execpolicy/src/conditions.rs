//! What a rule asks for beyond its prefix: how the command goes on, where it runs, with which environment,
//! from which file.
//!
//! What is not known (a script's variable, a nested command's folder) never fulfils a condition of a rule
//! that allows, and always one of a rule that asks or forbids.

use std::ffi::OsStr;
use std::time::SystemTime;

use crate::command::{Command, Environment};
use crate::pattern::{Element, Expression, Reading};

/// The optional arguments of a rule. The default asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Nothing may follow the prefix.
    pub exact: bool,
    /// The command starts in a folder that fits one of these, or below it.
    pub cwd: Vec<Expression>,
    /// One of these occurs after the prefix.
    pub args_any: Vec<Element>,
    /// None of these occurs after the prefix.
    pub deny_args: Vec<Element>,
    /// The environment holds these.
    pub env: Vec<(String, EnvTest)>,
    /// The executable's full path fits one of these.
    pub program_paths: Vec<Expression>,
    /// It is executed below one of these programs.
    pub by: Vec<Element>,
    /// It is executed below none of these programs.
    pub not_by: Vec<Element>,
    /// It is executed before then.
    pub until: Option<SystemTime>,
}

/// What a rule asks of one environment variable.
#[derive(Clone, Debug)]
pub enum EnvTest {
    /// It is not set.
    Unset,
    /// It is set, to anything.
    Set,
    /// Its value fits.
    Fits(Element),
}

/// Whether what is unknown counts as fulfilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// By the direction of the rule: it must never loosen.
    Cautious,
    /// Yes: an example states the command only, and holds where the conditions do.
    Fulfilled,
}

impl Conditions {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { exact, cwd, args_any, deny_args, env, program_paths, by, not_by, until } = self;
        !exact
            && cwd.is_empty()
            && args_any.is_empty()
            && deny_args.is_empty()
            && env.is_empty()
            && program_paths.is_empty()
            && by.is_empty()
            && not_by.is_empty()
            && until.is_none()
    }

    /// Whether the command fulfils all of them; `prefix` is the number of arguments that the pattern covered.
    pub(crate) fn fulfilled(
        &self,
        command: &Command<'_>,
        prefix: usize,
        reading: Reading,
        unknown: Unknown,
    ) -> bool {
        let in_doubt = unknown == Unknown::Fulfilled || reading == Reading::Wide;
        self.tail_fulfilled(command, prefix, reading)
            && self.cwd_fulfilled(command, reading).unwrap_or(in_doubt)
            && self.env_fulfilled(command, reading).unwrap_or(in_doubt)
            && self.path_fulfilled(command, reading).unwrap_or(in_doubt)
            && self.is_before(command).unwrap_or(in_doubt)
            && (unknown == Unknown::Fulfilled || self.ancestry_fulfilled(command, reading))
    }

    fn tail_fulfilled(&self, command: &Command<'_>, prefix: usize, reading: Reading) -> bool {
        let certain = command.certain_args();
        if reading == Reading::Narrow
            && certain < command.args.len()
            && (self.exact || !self.deny_args.is_empty())
        {
            return false;
        }
        if self.exact && command.args.len() > prefix {
            return false;
        }
        let opposite = match reading {
            Reading::Narrow => Reading::Wide,
            Reading::Wide => Reading::Narrow,
        };
        let known: Vec<&[u8]> =
            command.args().take(certain).skip(prefix).map(OsStr::as_encoded_bytes).collect();
        let all: Vec<&[u8]> = command.args().skip(prefix).map(OsStr::as_encoded_bytes).collect();
        let wanted = match reading {
            Reading::Narrow => &known,
            Reading::Wide => &all,
        };
        (self.args_any.is_empty() || self.args_any.iter().any(|element| occurs(element, wanted, reading)))
            && !self.deny_args.iter().any(|element| occurs(element, &known, opposite))
    }

    fn cwd_fulfilled(&self, command: &Command<'_>, reading: Reading) -> Option<bool> {
        if self.cwd.is_empty() {
            return Some(true);
        }
        let cwd = command.cwd.as_deref()?;
        Some(cwd.ancestors().any(|folder| {
            let folder = folder.as_os_str().as_encoded_bytes();
            self.cwd.iter().any(|glob| glob.matches(folder, reading))
        }))
    }

    fn env_fulfilled(&self, command: &Command<'_>, reading: Reading) -> Option<bool> {
        if self.env.is_empty() {
            return Some(true);
        }
        let Environment::Known(variables) = command.environment else { return None };
        Some(self.env.iter().all(|(name, test)| {
            let value = variables.iter().find(|(given, _)| given.as_encoded_bytes() == name.as_bytes());
            match (test, value) {
                (EnvTest::Unset, None) | (EnvTest::Set, Some(_)) => true,
                (EnvTest::Unset, Some(_)) | (EnvTest::Set | EnvTest::Fits(_), None) => false,
                (EnvTest::Fits(element), Some((_, value))) => {
                    element.matches(value.as_encoded_bytes(), reading)
                }
            }
        }))
    }

    fn path_fulfilled(&self, command: &Command<'_>, reading: Reading) -> Option<bool> {
        if self.program_paths.is_empty() {
            return Some(true);
        }
        let path = command.program.as_encoded_bytes();
        path.starts_with(b"/").then(|| self.program_paths.iter().any(|glob| glob.matches(path, reading)))
    }

    fn is_before(&self, command: &Command<'_>) -> Option<bool> {
        let Some(until) = self.until else { return Some(true) };
        Some(command.time? < until)
    }

    /// Whether they are about who has started the command.
    #[must_use]
    pub fn look_at_ancestry(&self) -> bool {
        !self.by.is_empty() || !self.not_by.is_empty()
    }

    fn ancestry_fulfilled(&self, command: &Command<'_>, reading: Reading) -> bool {
        (self.by.is_empty() || command.ancestry.has(&self.by, reading))
            && (self.not_by.is_empty() || command.ancestry.lacks(&self.not_by, reading))
    }
}

/// Whether an element occurs among the arguments. Options count only before `--`; operands count everywhere.
///
/// Read widely, `-f` also occurs in `-rf`, `--force` in `--force=x` and in its abbreviations, which
/// `getopt_long` accepts.
fn occurs(element: &Element, arguments: &[&[u8]], reading: Reading) -> bool {
    let mut options_ended = false;
    arguments.iter().any(|argument| {
        let is_option = argument.starts_with(b"-") && argument.len() > 1;
        if options_ended && is_option {
            return false;
        }
        options_ended |= *argument == b"--";
        element.matches(argument, reading)
            || (reading == Reading::Wide && spelled_otherwise(element, argument))
    })
}

/// Whether the argument is another spelling of an option that the element names.
fn spelled_otherwise(element: &Element, argument: &[u8]) -> bool {
    match element {
        Element::AnyOf(alternatives) => alternatives.iter().any(|one| spelled_otherwise(one, argument)),
        Element::Expression(_) => false,
        Element::Word(word) => match word.as_bytes() {
            [b'-', b'-', name @ ..] => {
                let given = argument.split(|byte| *byte == b'=').next().unwrap_or(argument);
                match given.strip_prefix(b"--") {
                    Some(given) => !given.is_empty() && name.starts_with(given),
                    None => false,
                }
            }
            [b'-', letter] => {
                !argument.starts_with(b"--")
                    && argument.strip_prefix(b"-").is_some_and(|group| group.contains(letter))
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Reading, occurs};
    use crate::pattern::Element;

    fn found(element: &str, arguments: &str, reading: Reading) -> bool {
        let arguments: Vec<&[u8]> = arguments.split(' ').map(str::as_bytes).collect();
        occurs(&Element::Word(element.into()), &arguments, reading)
    }

    #[test]
    fn options_are_found_in_every_spelling_when_that_is_the_cautious_side() {
        for (element, arguments, wide, narrow) in [
            ("-f", "-f", true, true),
            ("-f", "x -rf", true, false),
            ("-f", "--f", false, false),
            ("-f", "-- -f", false, false),
            ("--force", "--force=now", true, false),
            ("--force", "--for", true, false),
            ("--force", "--forced", false, false),
            ("--", "--", true, true),
            ("secret", "-- secret", true, true),
            ("secret", "secrets", false, false),
        ] {
            assert_eq!(found(element, arguments, Reading::Wide), wide, "{element} in {arguments}");
            assert_eq!(found(element, arguments, Reading::Narrow), narrow, "{element} in {arguments}");
        }
    }
}
