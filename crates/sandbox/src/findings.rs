//! What a look at this machine found: which forms of the sandbox it can enforce, and what stands in the way.

use crate::enforcement::Enforcement;
use crate::machine::Machine;
use serde::Serialize;
use std::fmt;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The machine.
    pub machine: Machine,
    /// Which kinds of namespaces this process can have, each tried by itself.
    pub namespaces: Vec<Kind>,
    /// How each form of the sandbox turned out.
    pub forms: Vec<Form>,
    /// What explains a refusal, and what to do about it.
    pub hints: Vec<Hint>,
}

/// One kind of namespace, tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// The kind, named as in `/proc/PID/ns`.
    pub name: &'static str,
    /// Why it could not be had.
    pub refusal: Option<String>,
}

/// One form of the sandbox, tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Form {
    /// `best`, `namespaces` or `landlock`; on macOS `seatbelt`.
    pub name: &'static str,
    /// What was in force.
    pub enforcement: Option<Enforcement>,
    /// Why it could not be.
    pub refusal: Option<String>,
}

/// Something about this machine that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hint {
    /// What was found.
    pub found: &'static str,
    /// What it does.
    pub effect: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl Probe {
    /// Tells whether commands can be sandboxed here.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.best().is_some()
    }

    /// Returns what is in force in the best form.
    #[must_use]
    pub fn best(&self) -> Option<&Enforcement> {
        self.forms.first().and_then(|form| form.enforcement.as_ref())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.found, self.effect, self.remedy)
    }
}
