//! The programs below which a command is executed (`by`, `not_by`), as far as they are known.
//!
//! What a process calls itself is its own claim, so a program has names that it surely has, and others that it may
//! have: a rule that allows goes by the former, one that asks or forbids by all of them.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use crate::pattern::{Element, Reading};

/// One program below which a command is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    certain: Vec<OsString>,
    possible: Vec<OsString>,
}

impl Ancestor {
    /// A program that is the file at this path: it has the path for a name, and its last component.
    #[must_use]
    pub fn named(path: &OsStr) -> Self {
        Self::default().with_certain(path).with_certain(Path::new(path).file_name().unwrap_or(path))
    }

    /// The same, with another name that it surely has.
    #[must_use]
    pub fn with_certain(mut self, name: &OsStr) -> Self {
        self.certain.push(name.to_owned());
        self
    }

    /// The same, with another name that it may have.
    #[must_use]
    pub fn with_possible(mut self, name: &OsStr) -> Self {
        self.possible.push(name.to_owned());
        self
    }

    /// The same, where something else may run in its name: it may have all of its names, and has none surely.
    #[must_use]
    pub fn doubted(mut self) -> Self {
        self.possible.append(&mut self.certain);
        self
    }

    fn is_surely(&self, element: &Element) -> bool {
        fits(&self.certain, element, Reading::Narrow)
    }

    fn may_be(&self, element: &Element) -> bool {
        fits(&self.certain, element, Reading::Wide) || fits(&self.possible, element, Reading::Wide)
    }
}

fn fits(names: &[OsString], element: &Element, reading: Reading) -> bool {
    names.iter().any(|name| element.matches(name.as_encoded_bytes(), reading))
}

/// All programs below which a command is executed. The default: nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestry {
    programs: Vec<Arc<Ancestor>>,
    /// There are no others.
    is_whole: bool,
}

impl Ancestry {
    /// These programs, and no others; none: it is executed by the shell itself.
    #[must_use]
    pub fn whole(programs: Vec<Arc<Ancestor>>) -> Self {
        Self { programs, is_whole: true }
    }

    /// These programs, and perhaps others.
    #[must_use]
    pub fn partly(programs: Vec<Arc<Ancestor>>) -> Self {
        Self { programs, is_whole: false }
    }

    /// Whether all of them are known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether nothing but the shell itself executes it.
    #[must_use]
    pub fn is_the_shells(&self) -> bool {
        self.is_whole && self.programs.is_empty()
    }

    /// The ancestry of what is executed below these programs, which are below what is known here.
    #[must_use]
    pub fn above(&self, programs: Vec<Arc<Ancestor>>) -> Self {
        let programs = programs.into_iter().chain(self.programs.iter().cloned()).collect();
        Self { programs, is_whole: self.is_whole }
    }

    /// The ancestry of what this program starts.
    pub(crate) fn below(&self, program: &OsStr) -> Self {
        let mut below = self.clone();
        below.programs.push(Arc::new(Ancestor::named(program)));
        below
    }

    /// Whether one of the programs fits one of the elements, for a rule that is read so; what is not known counts
    /// against a rule that allows, and for one that asks or forbids.
    pub(crate) fn has(&self, elements: &[Element], reading: Reading) -> bool {
        match reading {
            Reading::Narrow => self.surely_has(elements),
            Reading::Wide => self.may_have(elements),
        }
    }

    /// Whether none of the programs fits any of the elements, as above.
    pub(crate) fn lacks(&self, elements: &[Element], reading: Reading) -> bool {
        match reading {
            Reading::Narrow => !self.may_have(elements),
            Reading::Wide => !self.surely_has(elements),
        }
    }

    fn surely_has(&self, elements: &[Element]) -> bool {
        self.programs.iter().any(|program| elements.iter().any(|element| program.is_surely(element)))
    }

    fn may_have(&self, elements: &[Element]) -> bool {
        !self.is_whole
            || self.programs.iter().any(|program| elements.iter().any(|element| program.may_be(element)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, DecidedBy, Decision, Options, Policy};

    fn decide(condition: &str, decision: &str, ancestry: &Ancestry) -> bool {
        let text = format!("prefix_rule([\"git\", \"push\"], \"{decision}\", {condition})\n");
        let policy = Policy::from_text(Path::new("x.rules"), &text).unwrap();
        assert!(policy.looks_at_ancestry());
        let command = Command::from_words(&["git", "push"]).unwrap().with_ancestry(ancestry);
        let evaluation = policy.evaluate(&command, &Options::default());
        evaluation.decided_by() == DecidedBy::Rule
    }

    #[test]
    fn what_is_not_known_never_loosens() {
        let npm = || Arc::new(Ancestor::named(OsStr::new("/usr/bin/npm")));
        let claims =
            || Arc::new(Ancestor::named(OsStr::new("/usr/bin/node")).with_possible(OsStr::new("npm")));
        for (ancestry, by, not_by) in [
            // Each: whether a rule that allows holds, and whether one that forbids does.
            (Ancestry::default(), [false, true], [false, true]),
            (Ancestry::whole(vec![]), [false, false], [true, true]),
            (Ancestry::whole(vec![npm()]), [true, true], [false, false]),
            (Ancestry::whole(vec![Arc::new((*npm()).clone().doubted())]), [false, true], [false, true]),
            (Ancestry::partly(vec![npm()]), [true, true], [false, false]),
            (Ancestry::whole(vec![claims()]), [false, true], [false, true]),
            (Ancestry::partly(vec![claims()]), [false, true], [false, true]),
        ] {
            for (condition, expected) in [("by", by), ("not_by", not_by)] {
                for (decision, expected) in ["allow", "forbidden"].into_iter().zip(expected) {
                    let written = format!("{condition} = [\"npm\"]");
                    assert_eq!(
                        decide(&written, decision, &ancestry),
                        expected,
                        "{decision} {written} {ancestry:?}"
                    );
                }
            }
        }
        assert!(decide("by = [\"/usr/bin/npm\"]", "allow", &Ancestry::whole(vec![npm()])));
        assert!(!decide("by = [\"/opt/npm\"]", "allow", &Ancestry::whole(vec![npm()])));
        assert!(decide("by = [glob(\"/usr/**\")]", "allow", &Ancestry::whole(vec![npm()])));
    }

    #[test]
    fn a_command_inside_another_is_below_it() {
        let text = "prefix_rule([\"git\"], \"forbidden\", by = [\"env\"])\n";
        let policy = Policy::from_text(Path::new("x.rules"), text).unwrap();
        let none = Ancestry::whole(Vec::new());
        let decide = |words: &[&str]| {
            let command = Command::from_words(words).unwrap().with_ancestry(&none);
            policy.evaluate(&command, &Options::default()).decision()
        };
        assert_eq!(decide(&["env", "A=1", "git", "push"]), Decision::Forbidden);
        assert_eq!(decide(&["nice", "env", "A=1", "git", "push"]), Decision::Forbidden);
        assert_eq!(decide(&["nice", "git", "push"]), Decision::Allow);
    }

    #[test]
    fn what_is_no_program_is_named_where_it_stands() {
        for (condition, expected) in [
            ("by = []", "by cannot be an empty list"),
            (
                "not_by = [\"npm run\"]",
                "not_by must hold programs, each by its name or its full path (got `npm run`)",
            ),
            ("by = [\"./x\"]", "(got `./x`)"),
        ] {
            let text = format!("\n  \nprefix_rule([\"git\"], {condition})\n");
            let error = Policy::from_text(Path::new("x.rules"), &text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("x.rules:3:1"), "{error}");
        }
    }

    #[test]
    fn a_rule_that_would_allow_if_it_were_known_who_asks_is_found() {
        let text = "prefix_rule([\"git\", \"push\"], by = [\"npm\"])\n";
        let policy = Policy::from_text(Path::new("x.rules"), text).unwrap();
        let find = |words: &[&str], ancestry: &Ancestry| {
            let command = Command::from_words(words).unwrap().with_ancestry(ancestry);
            policy.kept_back_by_ancestry(&command, &Options::default()).is_some()
        };
        assert!(find(&["git", "push", "x"], &Ancestry::default()));
        assert!(!find(&["git", "pull"], &Ancestry::default()));
        assert!(!find(&["git", "push"], &Ancestry::whole(Vec::new())));
    }
}
