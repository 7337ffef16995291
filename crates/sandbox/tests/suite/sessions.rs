//! What calls of one session share, what limits them together, and how a session ends when its server is killed.

use crate::support::{self, Form, Place, Shell, User, can_sandbox, process_exists, until};
use crate::waiting::Waiting;
use sandbox::{CallEvent, ExitStatus, Mode, Session};
use std::time::Duration;

const USERS: [User; 2] = [User::Root, User::Nobody];

#[test]
fn a_server_started_by_one_call_is_reached_by_the_next_and_killed_by_a_third() {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let shell = Shell::for_user(user, &place.plan(Mode::WorkspaceWrite, Form::Everything));
        let first =
            shell.start("cd /; python3 -m http.server 8123 --bind 127.0.0.1 >/dev/null 2>&1 & echo started");
        assert_eq!(first.until_ended(), ExitStatus::Exited(0));
        let fetch = "python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8123/etc/hostname').status)\" 2>/dev/null";
        until("the next call reaches it", || shell.run(fetch).output == "200\n");
        let pid = first.alive().listed[0].pid;
        assert_eq!(shell.run(&format!("kill {pid}")).status, ExitStatus::Exited(0));
        let gone = first.call.event_within(support::PATIENCE).unwrap();
        assert_eq!(gone, Some(CallEvent::Gone));
    }
}

#[test]
fn a_call_writes_nothing_into_anothers_output() {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let shell = Shell::for_user(user, &place.plan(Mode::WorkspaceWrite, Form::Everything));
        if shell.session.enforcement().landlock.is_none_or(|abi| abi < 2) {
            tell!("skipped: domains need Landlock");
            continue;
        }
        let own = format!("sleep 1000 & {0} read /proc/$!/environ; kill $!", support::TRY);
        assert_eq!(shell.run(&own).output, "ok\n", "{user:?}: its own");
        let first = shell.start("exec sleep 1000");
        let pid = first.alive().listed[0].pid;
        let moved =
            format!("cd {}; mkdir a b; echo x > a/x; mv a/x b/x && rm -r a b", place.workspace.display());
        assert_eq!(shell.run(&moved).output, "", "{user:?}");
        for path in ["fd/1", "environ"] {
            let tried = format!("{} read /proc/{pid}/{path}", support::TRY);
            assert_eq!(shell.run(&tried).output, "EACCES\n", "{user:?}: {path}");
        }
        assert_eq!(shell.run(&format!("kill {pid}")).status, ExitStatus::Exited(0));
        first.until_ended();
    }
}

#[test]
fn a_device_is_there_only_where_it_is_granted() {
    // Whatever this machine has that is not there in any case.
    let candidates =
        ["/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/hwrng", "/dev/rtc0", "/dev/vsock", "/dev/kmsg"];
    let Some(device) = candidates.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        tell!("skipped: no device that could be granted");
        return;
    };
    for (user, form) in
        [(User::Root, Form::Everything), (User::Nobody, Form::Everything), (User::Root, Form::Landlock)]
    {
        if !can_sandbox(user, form) {
            continue;
        }
        let place = Place::new(user);
        let mut plan = place.plan(Mode::WorkspaceWrite, form);
        let look = format!(
            "[ -c {device} ] && echo there; {} read /dev/null; ls -ld {device} | cut -c1",
            support::TRY
        );
        let without = Shell::in_form(user, form, &plan).run(&look).output;
        assert_eq!(without.contains("there\n"), form == Form::Landlock, "{user:?} {form:?}: {without}");
        plan.devices = vec![device.into()];
        let granted = Shell::in_form(user, form, &plan).run(&look).output;
        assert_eq!(granted, "there\nok\nc\n", "{user:?} {form:?}");
    }
}

#[test]
fn a_fork_bomb_stops_at_the_limit_and_can_be_ended() {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let mut plan = place.plan(Mode::WorkspaceWrite, Form::Everything);
        plan.limits.processes = 300;
        let shell = Shell::for_user(user, &plan);
        if user == User::Root && support::is_older_than(6, 14) {
            tell!(
                "skipped: {user:?}: root's processes are counted by `pid_max` of a PID namespace, which Linux has since 6.14"
            );
            assert_eq!(shell.session.enforcement().process_limit, None);
            continue;
        }
        assert!(shell.session.enforcement().process_limit.is_some());
        let made: u32 = {
            let counted = shell.start(&format!("exec {} forks 2000", support::TRY));
            counted.until_ended();
            counted.read_any_line().parse().unwrap()
        };
        assert!((100..=610).contains(&made), "{user:?} made {made} processes");
        until("only init is left", || shell.descendants() == 1);
        // Orphans that fork as fast as they can, in sessions of their own.
        let bomb = shell.start("f() { (setsid sh -c 'while :; do sh -c \"sleep 1000 & sleep 1000 &\" & done' &) ; }; f; f; f; sleep 1000");
        until("the limit is reached", || bomb.alive().total > 100);
        bomb.end_and_wait(Duration::ZERO);
        assert_eq!(shell.run("echo next").output, "next\n");
    }
}

#[test]
fn shared_memory_and_temporary_sockets_are_private_and_core_dumps_off() {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let shell = Shell::for_user(user, &place.plan(Mode::ReadOnly, Form::Everything));
        let name = format!("sandbox-own-{}", place.outsider);
        assert_eq!(
            shell.run(&format!("echo x > /dev/shm/{name} && ulimit -c && ls /dev")).status,
            ExitStatus::Exited(0)
        );
        assert!(!std::path::Path::new("/dev/shm").join(&name).exists());
        assert_eq!(shell.run("ulimit -c").output, "0\n");
        assert_eq!(
            shell.run("echo $(ls /dev)").output,
            "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n"
        );
        // Nobody but init and this call's own processes.
        until("the supervisors of earlier calls are gone", || {
            shell.run("ls /proc | grep -c '^[0-9]'").output == "5\n"
        });
        // Root keeps only what the table lists; others nothing.
        let expected =
            if user == User::Root { "CapEff:\t00000000000004fb\n" } else { "CapEff:\t0000000000000000\n" };
        assert_eq!(shell.run("grep CapEff /proc/self/status").output, expected);
    }
}

#[test]
fn a_session_that_cannot_be_enforced_does_not_start() {
    if !can_sandbox(User::Nobody, Form::Everything) {
        return;
    }
    let place = Place::new(User::Nobody);
    let mut plan = place.plan(Mode::WorkspaceWrite, Form::Everything);
    // Without new user namespaces inside, a nested server that insists on namespaces cannot have them; Landlock nests.
    let outer = Shell::for_user(User::Nobody, &plan);
    plan.reserved.clear();
    let server = env!("CARGO_BIN_EXE_sandbox-test-server");
    let attempt = |plan: &sandbox::Plan| {
        let json = serde_json::to_string(plan).unwrap();
        outer.run(&format!("timeout 5 {server} true '{json}'")).output
    };
    let refused = attempt(&plan);
    assert!(refused.contains("NotEnforceable") && refused.contains("namespaces"), "{refused}");
    // Landlock alone does not do before.
    if !support::is_older_than(6, 2) {
        plan.layers = sandbox::Layers::Best;
        let nested = attempt(&plan);
        assert!(!nested.contains("NotEnforceable"), "{nested}");
    }
    plan.layers = sandbox::Layers::WithoutLandlock;
    assert!(attempt(&plan).contains("NotEnforceable"));
}

#[test]
fn a_killed_server_leaves_neither_processes_nor_placeholders() {
    for form in [Form::Everything, Form::Landlock] {
        if !can_sandbox(User::Root, form) {
            return;
        }
        let place = Place::new(User::Root);
        let plan = serde_json::to_string(&place.plan(Mode::WorkspaceWrite, form)).unwrap();
        let script = "trap '' TERM; setsid sleep 1000 & (setsid sh -c 'sleep 1001 & echo up; sleep 1002' &) ; sleep 1003";
        let mut server = support::server().arg(script).arg(&plan).spawn_with_output();
        let pids = server.read_pids();
        assert!(pids.len() >= 6, "{pids:?}");
        server.kill();
        until("all are gone", || pids.iter().all(|pid| !process_exists(*pid)));
        place.assert_nothing_left();
    }
}

#[test]
fn a_dead_session_says_so() {
    let shell = Shell::unenforced();
    assert!(shell.session.is_alive());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(shell.session.guard_pid().unwrap()).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("it is noticed", || !shell.session.is_alive());
}

#[test]
fn a_launcher_that_is_no_session_process_is_an_error() {
    let launcher = sandbox::Launcher { program: "/bin/true".into(), ..sandbox::Launcher::default() };
    let plan = sandbox::Plan::unenforced(Mode::DangerFullAccess, sandbox::Network::Enabled);
    assert!(matches!(Session::start(&launcher, &plan), Err(sandbox::SessionError::Lost)));
}

#[test]
fn the_kernel_tells_that_a_command_tried_the_network() {
    if !can_sandbox(User::Nobody, Form::Everything) {
        return;
    }
    let place = Place::new(User::Nobody);
    let shell = Shell::for_user(User::Nobody, &place.plan(Mode::WorkspaceWrite, Form::Everything));
    let refused = |script: &str| {
        let call = shell.start(&format!("{script} >/dev/null 2>&1; exit 1"));
        match call.call.event_within(support::PATIENCE).unwrap() {
            Some(CallEvent::Ended { refused_routes, .. }) => refused_routes > 0,
            other => panic!("{other:?}"),
        }
    };
    assert!(!refused("echo network"));
    assert!(refused(&format!("{} connect-tcp 192.0.2.1:80", support::TRY)));
    assert!(!refused("echo nothing more"));
    assert!(refused(&format!("{} connect-tcp [2001:db8::1]:80", support::TRY)));
}

#[test]
fn the_probe_tells_what_sessions_have() {
    let found = sandbox::probe::probe(&support::launcher());
    assert_eq!(found.forms.len(), 3);
    assert_eq!(found.is_usable(), found.forms.iter().any(|form| form.enforcement.is_some()));
    for form in &found.forms {
        assert_ne!(form.enforcement.is_some(), form.refusal.is_some(), "{form:?}");
    }
    serde_json::to_string(&found).unwrap();
}

#[test]
fn many_calls_at_once_share_a_session() {
    if !can_sandbox(User::Nobody, Form::Everything) {
        return;
    }
    let place = Place::new(User::Nobody);
    let shell = Shell::for_user(User::Nobody, &place.plan(Mode::WorkspaceWrite, Form::Everything));
    let calls: Vec<_> = (0..64).map(|number| shell.start(&format!("echo {number}; exit {number}"))).collect();
    for (number, call) in calls.iter().enumerate() {
        assert_eq!(call.until_ended(), ExitStatus::Exited(u8::try_from(number).unwrap()));
        assert_eq!(call.output(), format!("{number}\n"));
    }
}

/// Programs outside replace files by renaming new ones over them, which makes the kernel drop the mounts on the old
/// ones.
#[test]
fn what_is_replaced_outside_stays_protected_and_hidden_inside() {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        std::fs::write(place.home.join(".npmrc"), "token").unwrap();
        let shell = Shell::for_user(user, &place.plan(Mode::WorkspaceWrite, Form::Everything));
        let config = place.workspace.join(".git/config");
        let netrc = place.home.join(".netrc");
        let npmrc = place.home.join(".npmrc");
        let replace = |path: &std::path::Path| {
            let new = path.with_extension("new");
            std::fs::write(&new, "changed outside").unwrap();
            let metadata = std::fs::metadata(path).unwrap();
            use std::os::unix::fs::MetadataExt;
            std::os::unix::fs::chown(&new, Some(metadata.uid()), None).unwrap();
            std::fs::rename(&new, path).unwrap();
        };
        let tried = |what: &str, path: &std::path::Path| {
            shell.run(&format!("{} {what} {}", support::TRY, path.display())).output.trim().to_owned()
        };
        for _ in 0..3 {
            replace(&config);
            replace(&netrc);
            replace(&npmrc);
            until("the protection is back", || matches!(tried("write", &config).as_str(), "EROFS"));
            until("the secret is hidden again", || tried("read", &netrc) == "EACCES");
            until("the file looks empty again", || {
                shell.run(&format!("cat {}", npmrc.display())).output.is_empty()
            });
        }
        // A placeholder that someone outside removes is made again, and is protected again.
        std::fs::remove_dir(place.workspace.join(".mcp.json")).unwrap();
        until("the name is held again", || tried("chmod", &place.workspace.join(".mcp.json")) == "EROFS");
        assert!(shell.session.is_alive());
        drop(shell);
        place.assert_nothing_left();
    }
}

#[test]
fn two_sessions_in_one_workspace_do_not_take_each_others_protection_away() {
    if !can_sandbox(User::Nobody, Form::Everything) {
        return;
    }
    let place = Place::new(User::Nobody);
    let first = Shell::for_user(User::Nobody, &place.plan(Mode::WorkspaceWrite, Form::Everything));
    let second = Shell::for_user(User::Nobody, &place.plan(Mode::WorkspaceWrite, Form::Everything));
    drop(first);
    let hook = place.workspace.join(".git/hooks/pre-commit");
    assert_eq!(second.run(&format!("{} create {}", support::TRY, hook.display())).output, "EROFS\n");
    drop(second);
    place.assert_nothing_left();
}

/// What somebody outside takes away between the plan and the mounts costs the session nothing.
#[test]
fn what_is_gone_meanwhile_needs_no_mount() {
    for user in USERS.into_iter().filter(|user| can_sandbox(*user, Form::Everything)) {
        let place = Place::new(user);
        let mut plan = place.plan(Mode::WorkspaceWrite, Form::Everything);
        let root = plan.writable[0].clone();
        plan.sockets.push(root.join("gone/deep/socket"));
        plan.hidden.push(root.join("gone/secret"));
        plan.emptied.push(root.join("gone/file"));
        let shell = Shell::for_user(user, &plan);
        let enforcement = shell.session.enforcement();
        assert!(enforcement.has(sandbox::Namespace::Mount), "{user:?}: {enforcement:?}");
    }
}
