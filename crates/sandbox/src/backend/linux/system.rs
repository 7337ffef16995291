//! Linux, as a system that has sandboxes.

use super::session::Session;
use super::{guard, probe};
use crate::backend::Backend;
use crate::enforcement::Enforcement;
use crate::findings::{Hint, Probe};
use crate::launcher::Launcher;
use crate::plan::Plan;
use crate::session_error::SessionError;

/// Sessions of processes that the kernel confines.
pub(crate) struct Linux;

impl Backend for Linux {
    type Session = Session;

    fn start(launcher: &Launcher, plan: &Plan) -> Result<(Session, Enforcement), SessionError> {
        Session::start(launcher, plan)
    }

    fn run_session_process() -> ! {
        guard::run_session_process()
    }

    fn probe(launcher: &Launcher) -> Probe {
        probe::probe(launcher)
    }

    fn explain_refusal() -> Vec<Hint> {
        probe::explain_refusal()
    }
}
