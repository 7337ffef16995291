//! macOS, as a system that has sandboxes.

use super::seatbelt::{SEATBELT_PROGRAM, SeatbeltCommand, seatbelt_command};
use crate::backend::{Backend, BackendSession, none};
use crate::enforcement::Enforcement;
use crate::findings::{Form, Hint, Probe};
use crate::launcher::Launcher;
use crate::listening::Listening;
use crate::plan::Plan;
use crate::policy::Mode;
use crate::session_error::SessionError;
use crate::spawn_request::SpawnRequest;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Starts programs behind Seatbelt, as children of the server.
pub(crate) struct MacOs;

/// A session is a profile.
#[derive(Debug)]
pub(crate) struct Session {
    /// What is enforced, if anything.
    plan: Option<Plan>,
    inner: none::Session,
}

impl Backend for MacOs {
    type Session = Session;

    fn start(launcher: &Launcher, plan: &Plan) -> Result<(Session, Enforcement), SessionError> {
        let needs_profile = plan.mode.is_enforced() || plan.execution.is_limited();
        if needs_profile && !has_seatbelt() {
            return Err(SessionError::NotEnforceable(NO_SEATBELT.to_owned()));
        }
        let session =
            Session { plan: needs_profile.then(|| plan.clone()), inner: none::Session::new(launcher) };
        Ok((session, Enforcement { seatbelt: needs_profile, ..Enforcement::none(plan.mode) }))
    }

    fn run_session_process() -> ! {
        none::no_session_process()
    }

    fn probe(_: &Launcher) -> Probe {
        let mut probe = none::refuse("seatbelt", NO_SEATBELT);
        if has_seatbelt() {
            let enforcement = Enforcement { seatbelt: true, ..Enforcement::none(Mode::ReadOnly) };
            probe.forms = vec![Form { name: "seatbelt", enforcement: Some(enforcement), refusal: None }];
        }
        probe
    }

    fn explain_refusal() -> Vec<Hint> {
        Vec::new()
    }
}

const NO_SEATBELT: &str = "there is no /usr/bin/sandbox-exec";

fn has_seatbelt() -> bool {
    Path::new(SEATBELT_PROGRAM).exists()
}

impl BackendSession for Session {
    type Call = none::Call;

    fn is_alive(&self) -> bool {
        self.inner.is_alive()
    }

    fn retire(&self) {
        self.inner.retire();
    }

    fn guard_pid(&self) -> Option<u32> {
        self.inner.guard_pid()
    }

    fn has_network_of(&self, socket: BorrowedFd<'_>) -> bool {
        self.inner.has_network_of(socket)
    }

    fn who_listens(&self, file: BorrowedFd<'_>, process: i32) -> io::Result<Listening> {
        self.inner.who_listens(file, process)
    }

    fn spawn(&self, request: SpawnRequest) -> Result<none::Call, SessionError> {
        let Some(plan) = &self.plan else { return self.inner.spawn(request) };
        let SeatbeltCommand { program, arguments } =
            seatbelt_command(plan, &request.program, &request.arguments);
        self.inner.spawn(SpawnRequest { program, arguments, ..request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Network;

    #[test]
    fn a_policy_needs_seatbelt_and_no_policy_needs_nothing() {
        let start = |mode| MacOs::start(&Launcher::default(), &Plan::unenforced(mode, Network::Enabled));
        let (session, enforcement) = start(Mode::DangerFullAccess).unwrap();
        assert!(session.plan.is_none() && !enforcement.is_whole());
        match start(Mode::ReadOnly) {
            Ok((session, enforcement)) => assert!(session.plan.is_some() && enforcement.is_whole()),
            Err(error) => assert!(!has_seatbelt(), "{error}"),
        }
        assert_eq!(MacOs::probe(&Launcher::default()).is_usable(), has_seatbelt());
    }
}
