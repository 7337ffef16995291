//! What control groups bound, where one can be made. A machine that must have them (`TESTS_MUST_BOUND=1`) skips nothing.

use crate::support::{Form, Place, Shell, TRY, User, can_sandbox, launcher_of, until};
use sandbox::{Bounds, ExitStatus, Group, Launcher, Mode};
use std::path::PathBuf;
use std::sync::Arc;

const USERS: [User; 2] = [User::Root, User::Nobody];

/// A group with these bounds; none where that cannot be.
fn group(bounds: Bounds) -> Option<Arc<Group>> {
    match Group::make(bounds) {
        Ok(group) => Some(Arc::new(group)),
        Err(why) => {
            assert_ne!(std::env::var("TESTS_MUST_BOUND").as_deref(), Ok("1"), "{why}");
            tell!("skipped: {why}");
            None
        }
    }
}

/// Whoever can be sandboxed, in a group.
fn shells(bounds: Bounds, mut with: impl FnMut(User, &Shell, &Arc<Group>)) {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let Some(group) = group(bounds) else { return };
        let place = Place::new(user);
        let launcher = Launcher { group: Some(Arc::clone(&group)), ..launcher_of(user) };
        let shell = Shell::with_launcher(&launcher, &place.plan(Mode::WorkspaceWrite, Form::Everything));
        with(user, &shell, &group);
    }
}

#[test]
fn who_fills_the_memory_is_killed_and_counted() {
    let bounds = Bounds { memory: Some(128 << 20), ..Bounds::default() };
    shells(bounds, |user, shell, group| {
        let little = shell.run("head -c 10M /dev/zero | tail -c 1 > /dev/null");
        assert_eq!((little.status, group.reached().memory), (ExitStatus::Exited(0), 0), "{user:?}");
        let much = shell.run("head -c 1G /dev/zero | tail -c 2G > /dev/null");
        assert_eq!(much.status, ExitStatus::Exited(137), "{user:?}: {}", much.output);
        assert!(group.reached().memory > 0, "{user:?}");
    });
}

#[test]
fn no_more_processes_are_made_than_a_group_may_have() {
    let bounds = Bounds { processes: Some(60), ..Bounds::default() };
    shells(bounds, |user, shell, group| {
        assert_eq!(shell.run("echo first").output, "first\n", "{user:?}");
        assert_eq!(group.reached().processes, 0, "{user:?}");
        let made: u64 = {
            let counted = shell.start(&format!("exec {TRY} forks 2000"));
            counted.until_ended();
            counted.read_any_line().parse().unwrap()
        };
        assert!((20..60).contains(&made) && group.reached().processes > 0, "{user:?} made {made}");
        until("only init is left", || shell.descendants() == 1);
        assert_eq!(shell.run("echo next").output, "next\n", "{user:?}");
    });
}

#[test]
fn all_that_a_session_starts_is_in_its_group_and_the_group_ends_with_it() {
    let bounds = Bounds { processor: Some(500), ..Bounds::default() };
    let mut places = Vec::new();
    shells(bounds, |user, shell, _| {
        let own = shell.run("grep ^0:: /proc/self/cgroup; setsid -w grep ^0:: /proc/self/cgroup").output;
        let own: Vec<&str> = own.lines().filter_map(|line| line.strip_prefix("0::")).collect();
        assert!(
            own.len() == 2 && own[0] == own[1] && own[0].contains("/shell-sandboxes-"),
            "{user:?}: {own:?}"
        );
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
        let place = PathBuf::from(format!("{}{}", mount.split(' ').nth(4).unwrap(), own[0]));
        let parent = place.parent().unwrap().to_owned();
        assert_eq!(std::fs::read_to_string(parent.join("cpu.max")).unwrap(), "50000 100000\n", "{user:?}");
        // Nobody leaves it.
        let leave =
            format!("echo $$ > {}/cgroup.procs", parent.parent().unwrap().parent().unwrap().display());
        assert_ne!(shell.run(&leave).status, ExitStatus::Exited(0), "{user:?}");
        places.extend([place, parent]);
    });
    for place in places {
        until("it is gone", || !place.exists());
    }
}
