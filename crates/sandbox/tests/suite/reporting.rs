//! A program whose executions are reported does not run before somebody has answered for it.

use crate::support::{Form, PATIENCE, Place, Shell, User, can_sandbox};
use crate::waiting::Waiting;
use sandbox::{CallEvent, Directory, ExitStatus, Inherited, Mode, SpawnRequest, StartStep};
use std::path::Path;

fn request(reported: bool) -> SpawnRequest<'static> {
    SpawnRequest {
        program: Path::new("/bin/true"),
        arguments: &[],
        environment: &[],
        directory: Directory::Path(Path::new("/")),
        descriptors: &[],
        inherited: Inherited::default(),
        reported,
    }
}

#[test]
fn without_an_answer_a_reported_program_does_not_run() {
    for user in [User::Root, User::Nobody].into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let shell = Shell::for_user(user, &place.plan(Mode::ReadOnly, Form::Everything));
        let arguments = ["true".into()];
        let start = |reported| {
            shell.session.spawn(&SpawnRequest { arguments: &arguments, ..request(reported) }).unwrap()
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
