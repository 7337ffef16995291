//! Which files are executed: each refusal beside a twin that is not refused, as root and as an ordinary user.

use crate::support::{Form, Place, Shell, User, can_sandbox, launcher_of};
use sandbox::{Execution, Mode, Network, Plan, Session, StandIn};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const USERS: [User; 2] = [User::Root, User::Nobody];

/// Puts programs into the workspace: a script, and a copy of a real one.
fn planted(place: &Place) -> (PathBuf, PathBuf) {
    let (script, binary) = (place.workspace.join("script"), place.workspace.join("binary"));
    fs::write(&script, "#!/bin/sh\necho ran\n").unwrap();
    fs::copy("/bin/echo", &binary).unwrap();
    for file in [&script, &binary] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    (script, binary)
}

/// The program that the kernel starts dynamic programs by.
fn loader() -> Option<&'static Path> {
    ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
}

fn ran(shell: &Shell, script: &str) -> bool {
    shell.run(&format!("{script} 2>&1")).output.contains("ran")
}

#[test]
fn nothing_in_such_a_place_is_executed_or_mapped() {
    for user in USERS {
        if !can_sandbox(user, Form::Everything) {
            continue;
        }
        let place = Place::new(user);
        let (script, binary) = planted(&place);
        let inside = place.plan(Mode::WorkspaceWrite, Form::Everything);
        let outside = Plan::unenforced(Mode::DangerFullAccess, Network::Enabled);
        for plan in [inside, outside] {
            let limited = Plan {
                execution: Execution { never_in: vec![place.workspace.clone()], ..Execution::default() },
                ..plan.clone()
            };
            let (free, limited) = (Shell::for_user(user, &plan), Shell::for_user(user, &limited));
            let binary = binary.display();
            let mut scripts = vec![script.display().to_string(), format!("{binary} ran")];
            scripts.extend(loader().map(|loader| format!("{} {binary} ran", loader.display())));
            for script in &scripts {
                assert!(ran(&free, script), "{user:?} {:?}: {script}", plan.mode);
                assert!(!ran(&limited, script), "{user:?} {:?}: {script}", plan.mode);
            }
            assert!(ran(&limited, "echo ran"), "what is on the system runs");
            let file = place.workspace.join("written");
            assert!(
                ran(&limited, &format!("echo x > {} && echo ran", file.display())),
                "it can be written as before"
            );
        }
    }
}

#[test]
fn a_place_that_is_replaced_outside_stays_one_in_which_nothing_is_executed() {
    if !can_sandbox(User::Nobody, Form::Everything) {
        return;
    }
    let place = Place::new(User::Nobody);
    let (script, _) = planted(&place);
    let execution = Execution { never_in: vec![place.workspace.clone()], ..Execution::default() };
    let plan = Plan { execution, ..Plan::unenforced(Mode::DangerFullAccess, Network::Enabled) };
    let shell = Shell::for_user(User::Nobody, &plan);
    assert!(!ran(&shell, &script.display().to_string()));
    let moved = place.workspace.with_file_name("moved");
    fs::rename(&place.workspace, &moved).unwrap();
    fs::create_dir(&place.workspace).unwrap();
    let (script, _) = planted(&place);
    shell.session.mend().unwrap();
    assert!(!ran(&shell, &script.display().to_string()));
}

#[test]
fn what_is_mounted_cannot_be_taken_off() {
    for user in USERS {
        if !can_sandbox(user, Form::Everything) {
            continue;
        }
        let place = Place::new(user);
        let execution = Execution { never_in: vec![place.workspace.clone()], ..Execution::default() };
        let plan = Plan { execution, ..Plan::unenforced(Mode::DangerFullAccess, Network::Enabled) };
        let shell = Shell::for_user(user, &plan);
        let workspace = place.workspace.display();
        for script in [
            format!("umount {workspace}"),
            format!("mount -o remount,bind,exec {workspace}"),
            format!("unshare -rm umount {workspace}"),
            format!("unshare -rm mount -o remount,bind,exec {workspace}"),
        ] {
            assert!(!ran(&shell, &format!("{script} && echo ran")), "{user:?}: {script}");
        }
    }
}

#[test]
fn only_what_is_listed_is_executed() {
    for user in USERS {
        if !can_sandbox(user, Form::Everything) {
            continue;
        }
        let place = Place::new(user);
        let (script, binary) = planted(&place);
        let real = |path: &str| Path::new(path).canonicalize().unwrap();
        let mut only = vec![real("/bin/sh"), real("/bin/cat")];
        only.extend(loader().map(|loader| loader.canonicalize().unwrap()));
        for form in [Form::Everything, Form::Landlock] {
            if !can_sandbox(user, form) {
                continue;
            }
            let plan = place.plan(Mode::WorkspaceWrite, form);
            let execution = Execution { only: Some(only.clone()), ..Execution::default() };
            let limited = Plan { execution, ..plan.clone() };
            let (free, limited) = (Shell::in_form(user, form, &plan), Shell::in_form(user, form, &limited));
            for refused in [
                script.display().to_string(),
                format!("{} ran", binary.display()),
                "/usr/bin/env echo ran".to_owned(),
            ] {
                assert!(ran(&free, &refused), "{user:?} {form:?}: {refused}");
                assert!(!ran(&limited, &refused), "{user:?} {form:?}: {refused}");
            }
            assert!(ran(&limited, "echo ran | cat"), "{user:?} {form:?}");
        }
    }
}

#[test]
fn another_program_stands_in_for_the_shell() {
    for user in USERS {
        if !can_sandbox(user, Form::Everything) {
            continue;
        }
        let place = Place::new(user);
        let plan = place.plan(Mode::WorkspaceWrite, Form::Everything);
        let real = |path: &str| Path::new(path).canonicalize().unwrap();
        let shell = Some(StandIn { place: real("/bin/sh"), program: real("/bin/echo") });
        let execution = Execution { shell, ..Execution::default() };
        let shell = Shell::for_user(user, &Plan { execution, ..plan });
        assert_eq!(shell.run("exit 3").output, "-c exit 3\n", "{user:?}");
    }
}

#[test]
fn less_than_that_is_no_session() {
    if !can_sandbox(User::Nobody, Form::Landlock) {
        return;
    }
    let place = Place::new(User::Nobody);
    let never = Execution { never_in: vec![place.workspace.clone()], ..Execution::default() };
    let only = Execution { only: Some(vec![place.workspace.clone()]), ..Execution::default() };
    for (form, execution, words) in [
        (Form::Landlock, never, "without a mount namespace"),
        (Form::Namespaces, only, "which files are executed"),
    ] {
        let plan = Plan { execution, ..place.plan(Mode::WorkspaceWrite, form) };
        let refused = Session::start(&launcher_of(User::Nobody), &plan).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}
