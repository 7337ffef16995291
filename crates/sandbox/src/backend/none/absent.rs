//! What systems say about what they do not have.

use crate::findings::{Form, Probe};
use crate::machine::Machine;

/// Ends a process that was started for what this system does not have.
pub(crate) fn no_session_process() -> ! {
    std::process::exit(70)
}

/// Tells that the only form of a sandbox there could be cannot be had.
pub(crate) fn refuse(name: &'static str, reason: &str) -> Probe {
    let form = Form { name, enforcement: None, refusal: Some(reason.to_owned()) };
    Probe { machine: Machine::look(), namespaces: Vec::new(), forms: vec![form], hints: Vec::new() }
}
