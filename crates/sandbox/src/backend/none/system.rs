//! Any Unix, as a system that has no sandbox.

use super::absent::{no_session_process, refuse};
use super::session::Session;
use crate::backend::Backend;
use crate::enforcement::Enforcement;
use crate::findings::{Hint, Probe};
use crate::launcher::Launcher;
use crate::plan::Plan;
use crate::session_error::SessionError;

/// Why no policy is enforced.
const NO_SANDBOX: &str = "this system has no sandbox that the server can use";

/// Runs programs as they are.
pub(crate) struct NoSandbox;

impl Backend for NoSandbox {
    type Session = Session;

    fn start(launcher: &Launcher, plan: &Plan) -> Result<(Session, Enforcement), SessionError> {
        match plan.mode.is_enforced() || plan.execution.is_limited() {
            true => Err(SessionError::NotEnforceable(NO_SANDBOX.to_owned())),
            false => Ok((Session::new(launcher), Enforcement::none(plan.mode))),
        }
    }

    fn run_session_process() -> ! {
        no_session_process()
    }

    fn probe(_: &Launcher) -> Probe {
        refuse("sandbox", NO_SANDBOX)
    }

    fn explain_refusal() -> Vec<Hint> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    #[test]
    fn who_asks_for_a_sandbox_is_told_that_there_is_none() {
        let start = |mode| NoSandbox::start(&Launcher::default(), &Plan::unenforced(mode, Network::Enabled));
        assert!(start(Mode::DangerFullAccess).is_ok() && start(Mode::ExternalSandbox).is_ok());
        let execution = crate::Execution { only: Some(Vec::new()), ..crate::Execution::default() };
        let limited = Plan { execution, ..Plan::unenforced(Mode::DangerFullAccess, Network::Enabled) };
        assert!(NoSandbox::start(&Launcher::default(), &limited).is_err());
        for mode in [Mode::ReadOnly, Mode::WorkspaceWrite] {
            assert!(matches!(start(mode), Err(SessionError::NotEnforceable(why)) if why == NO_SANDBOX));
        }
        assert!(!NoSandbox::probe(&Launcher::default()).is_usable());
    }
}
