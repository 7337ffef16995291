//! A program whose executions are reported does not run before somebody has answered for it.

use crate::support::{Form, PATIENCE, Place, Shell, User, can_sandbox};
use crate::waiting::Waiting;
use sandbox::{CallEvent, Directory, ExitStatus, Inherited, Mode, SpawnRequest, StartStep};

fn request(reported: bool) -> SpawnRequest {
    SpawnRequest {
        program: "/bin/true".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        directory: Directory::Path("/".into()),
        descriptors: Vec::new(),
        inherited: Inherited::default(),
        reported,
        reports_reading: false,
    }
}

#[test]
fn without_an_answer_a_reported_program_does_not_run() {
    for user in [User::Root, User::Nobody].into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let shell = Shell::for_user(user, &place.plan(Mode::ReadOnly, Form::Everything));
        let start = |reported| {
            let arguments = vec!["true".into()];
            shell.session.spawn(SpawnRequest { arguments, ..request(reported) }).unwrap()
        };
        let plain = start(false);
        assert!(matches!(plain.event_within(PATIENCE), Ok(Some(CallEvent::Started { .. }))));
        let ended = plain.event_within(PATIENCE).unwrap();
        assert!(matches!(ended, Some(CallEvent::Ended { status: ExitStatus::Exited(0), .. })), "{ended:?}");

        let held = start(true);
        assert_eq!(held.event_within(PATIENCE).unwrap(), Some(CallEvent::Reports));
        // Nobody can answer any more.
        drop(held.take_listener().expect("a listener"));
        let failed = CallEvent::NotStarted { step: StartStep::Execute, errno: libc::ENOSYS };
        assert_eq!(held.event_within(PATIENCE).unwrap(), Some(failed));
    }
}
