//! Linux, as a system that has sandboxes.

use super::session::Session;
use super::{guard, limits, probe};
use crate::backend::Backend;
use crate::enforcement::{Enforcement, Namespace};
use crate::findings::{Hint, Probe};
use crate::launcher::Launcher;
use crate::plan::Plan;
use crate::session_error::SessionError;
use std::io;

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

    fn limit_this_thread(enforcement: &Enforcement) -> io::Result<()> {
        let reaches_others = !enforcement.has(Namespace::User) && !enforcement.has(Namespace::Pid);
        limits::drop_capabilities(reaches_others)
    }

    fn explain_refusal() -> Vec<Hint> {
        probe::explain_refusal()
    }
}
