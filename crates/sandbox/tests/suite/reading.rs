//! What can be read: hidden and emptied files, patterns, and policies that list all that is readable; and the read-only
//! mode.

use crate::support::{Form, Place, Shell, TRY, User, can_sandbox};
use sandbox::resolve::{HostFacts, resolve};
use sandbox::{Layers, Mode, Network, Plan, Restrictions, SandboxPolicy};
use std::fs;

fn tried(shell: &Shell, arguments: &str) -> String {
    shell.run(&format!("{TRY} {arguments}")).output.trim().to_owned()
}

fn planned(place: &Place, mode: Mode, restrictions: &Restrictions, layers: Layers) -> Plan {
    let facts = HostFacts {
        workspace: vec![place.workspace.clone()],
        home: Some(place.home.clone()),
        ..HostFacts::default()
    };
    let mut plan = resolve(&SandboxPolicy::of_mode(mode), restrictions, &facts).unwrap();
    plan.layers = layers;
    plan
}

#[test]
fn a_read_only_session_writes_nowhere_not_even_to_temporary_folders() {
    for (user, form) in [(User::Root, Form::Everything), (User::Nobody, Form::Landlock)] {
        if !can_sandbox(user, form) {
            continue;
        }
        let place = Place::new(user);
        let shell = Shell::for_user(user, &place.plan(Mode::ReadOnly, form));
        let workspace = place.workspace.display();
        assert_eq!(tried(&shell, &format!("read {workspace}/file")), "ok");
        for path in [
            format!("{workspace}/new"),
            "/tmp/sandbox-test-new".to_owned(),
            "/var/tmp/sandbox-test-new".to_owned(),
        ] {
            let outcome = tried(&shell, &format!("create {path}"));
            assert!(matches!(outcome.as_str(), "EROFS" | "EACCES"), "{path}: {outcome}");
        }
    }
}

#[test]
fn what_is_denied_by_name_or_pattern_cannot_be_read_and_what_is_allowed_can() {
    for (user, form) in
        [(User::Root, Form::Everything), (User::Nobody, Form::Everything), (User::Nobody, Form::Landlock)]
    {
        if !can_sandbox(user, form) {
            continue;
        }
        let place = Place::new(user);
        fs::write(place.outside.join("prod.env"), "secret").unwrap();
        fs::write(place.home.join(".npmrc"), "token").unwrap();
        let restrictions = Restrictions {
            deny_read: vec![place.home.join("notes")],
            deny_read_globs: vec![format!("{}/**/*.env", place.outside.display())],
            allow_read: vec![place.home.join(".netrc")],
            ..Restrictions::default()
        };
        let shell =
            Shell::for_user(user, &planned(&place, Mode::WorkspaceWrite, &restrictions, form.layers()));
        for (path, expected) in [
            (place.outside.join("file"), "ok"),
            (place.home.join(".netrc"), "ok"),
            (place.home.join("notes"), "EACCES"),
            (place.outside.join("prod.env"), "EACCES"),
        ] {
            assert_eq!(
                tried(&shell, &format!("read {}", path.display())),
                expected,
                "{user:?} {form:?} {path:?}"
            );
        }
        // A tool's own file looks empty where mounts can make it so, and is refused where not.
        let npmrc = place.home.join(".npmrc");
        let size = shell.run(&format!("wc -c < {}", npmrc.display())).output;
        let expected = if form == Form::Everything { "0\n" } else { "Permission denied\n" };
        assert!(size.ends_with(expected), "{user:?} {form:?}: {size}");
    }
}

#[test]
fn a_policy_that_lists_what_is_readable_hides_the_rest() {
    for user in [User::Root, User::Nobody] {
        for form in [Form::Everything, Form::Landlock] {
            let layers = form.layers();
            if !can_sandbox(user, form) {
                continue;
            }
            let place = Place::new(user);
            let minimal = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev"].map(Into::into);
            let mut readable = minimal.to_vec();
            readable.push(std::path::Path::new(TRY).parent().unwrap().to_owned());
            let restrictions = Restrictions { only_readable: Some(readable), ..Restrictions::default() };
            let shell = Shell::for_user(user, &planned(&place, Mode::WorkspaceWrite, &restrictions, layers));
            assert_eq!(tried(&shell, &format!("read {}/file", place.workspace.display())), "ok");
            assert_eq!(tried(&shell, "read /etc/hostname"), "ok");
            assert_eq!(tried(&shell, &format!("read {}/file", place.outside.display())), "EACCES");
        }
    }
}

#[test]
fn what_only_landlock_can_do_is_refused_without_it() {
    if !can_sandbox(User::Nobody, Form::Namespaces) {
        return;
    }
    let place = Place::new(User::Nobody);
    let restrictions = Restrictions { only_readable: Some(vec!["/usr".into()]), ..Restrictions::default() };
    let plan = planned(&place, Mode::ReadOnly, &restrictions, Layers::WithoutLandlock);
    let error = sandbox::Session::start(&crate::support::launcher_of(User::Nobody), &plan).unwrap_err();
    assert!(error.to_string().contains("restrict what is readable"), "{error}");
}

#[test]
fn with_network_the_host_is_reached_and_its_sockets_are_not() {
    for user in [User::Root, User::Nobody] {
        if !can_sandbox(user, Form::Everything) {
            continue;
        }
        let place = Place::new(user);
        let mut plan = place.plan(Mode::WorkspaceWrite, Form::Everything);
        plan.network = Network::Enabled;
        let shell = Shell::for_user(user, &plan);
        assert_eq!(tried(&shell, &format!("connect-tcp {}", place.tcp)), "ok");
        assert_eq!(tried(&shell, &format!("connect {}", place.socket.display())), "ECONNREFUSED");
        let connected = tried(&shell, &format!("connect-abstract {}", place.abstract_name));
        if crate::support::is_older_than(6, 12) {
            // Landlock judges abstract sockets since ABI 6. It is said.
            let gaps = &shell.session.enforcement().gaps;
            assert!(gaps.iter().any(|gap| gap.contains("abstract Unix sockets")), "{connected}: {gaps:?}");
        } else {
            assert_eq!(connected, "EPERM");
        }
        assert_eq!(tried(&shell, "call socket 17 3 0"), "EPERM");
    }
}

#[test]
fn what_is_hidden_in_proc_does_not_take_processes_along() {
    for user in [User::Root, User::Nobody] {
        if !can_sandbox(user, Form::Landlock) {
            return;
        }
        let place = Place::new(user);
        let mut plan = place.plan(Mode::WorkspaceWrite, Form::Landlock);
        plan.hidden.push("/proc/version".into());
        let shell = Shell::for_user(user, &plan);
        let script =
            "cat /proc/self/status > /dev/null && sh -c 'cat /proc/$$/status' > /dev/null && echo readable";
        assert_eq!(shell.run(script).output, "readable\n", "{user:?}");
        let gaps = &shell.session.enforcement().gaps;
        assert!(gaps.iter().any(|gap| gap.contains("/proc can be read")), "{user:?}: {gaps:?}");
    }
}
