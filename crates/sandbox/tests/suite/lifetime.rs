//! Calls and their whole trees, from start to the last process: over real processes, without any enforcement.

use crate::support::{
    self, PATIENCE, Shell, Started, launcher_without_subreapers, process_exists, processes_with, until,
};
use crate::waiting::Waiting;
use rustix::process::{Resource, getrlimit};
use sandbox::{CallEvent, ExitStatus, StartStep};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

#[test]
fn a_program_runs_with_its_output_code_folder_and_environment() {
    let shell = Shell::unenforced();
    let done = shell.run("pwd; echo $GREETING; ls /proc/self/fd | tr '\\n' ' '; exit 7");
    assert_eq!(done.status, ExitStatus::Exited(7));
    // 3 is the descriptor with which ls reads the folder.
    assert_eq!(done.output, "/\nhello\n0 1 2 3 ");
}

#[test]
fn a_signal_is_told_as_a_signal() {
    let shell = Shell::unenforced();
    let done = shell.run("kill -9 $$");
    assert_eq!(done.status, ExitStatus::Signaled(9));
}

#[test]
fn what_cannot_be_started_names_the_step() {
    let shell = Shell::unenforced();
    for (program, directory, step, errno) in [
        ("/no/such/program", "/", StartStep::Execute, libc::ENOENT),
        ("/etc/passwd", "/", StartStep::Execute, libc::EACCES),
        ("/bin/sh", "/no/such/folder", StartStep::ChangeDirectory, libc::ENOENT),
    ] {
        let call = shell.start_program(program, directory);
        let event = call.event_within(PATIENCE);
        assert_eq!(event.unwrap(), Some(CallEvent::NotStarted { step, errno }), "{program} in {directory}");
    }
}

#[test]
fn signals_are_at_their_defaults() {
    let shell = Shell::unenforced();
    let done = shell.run("grep -E '^Sig(Blk|Ign)' /proc/self/status");
    // 32 and 33 belong to the C library, whose posix_spawn leaves them ignored.
    let output = done.output.replace("180000000", "000000000");
    assert_eq!(output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn a_background_child_lives_on_is_listed_and_is_ended_with_the_call() {
    let shell = Shell::unenforced();
    let started = shell
        .start("sleep 1000 & setsid sleep 1001 & (setsid sh -c 'sleep 1002 & sleep 1003 &' &) ; echo up");
    let ended = started.until_ended();
    assert_eq!(ended, ExitStatus::Exited(0));
    let names = |started: &Started| {
        let mut names: Vec<String> = started.alive().listed.iter().map(|process| process.display()).collect();
        names.sort();
        names
    };
    let expected = ["sleep 1000", "sleep 1001", "sleep 1002", "sleep 1003"];
    until("all four are there", || names(&started) == expected);
    let pids: Vec<i32> = started.alive().listed.iter().map(|process| process.pid).collect();
    started.end_and_wait(Duration::from_millis(500));
    assert!(pids.iter().all(|pid| !process_exists(*pid)));
}

/// Scripts that do not want to end. Each says when it has come so far.
const STUBBORN: &[(&str, &str)] = &[
    ("ignores TERM", "trap '' TERM; echo up; while :; do sleep 0.01; done"),
    (
        "ignores TERM in a session of its own",
        "setsid sh -c \"trap '' TERM HUP; echo up; while :; do sleep 0.01; done\" & wait",
    ),
    ("double fork", "(setsid sh -c \"trap '' TERM; sleep 1000 & echo up; wait; sleep 1000\" &) ; sleep 1000"),
    (
        "stopped",
        "trap '' TERM; (until grep -q '^State:.T' /proc/$$/status; do sleep 0.01; done; echo up) & kill -STOP $$; sleep 1000",
    ),
    (
        "stopped child",
        "sh -c '(until grep -q ^State:.T /proc/$$/status; do sleep 0.01; done; echo up) & kill -STOP $$' & wait; sleep 1000",
    ),
    ("respawns", "trap '' TERM; echo up; while :; do (sleep 1000 &); sleep 0.002; done"),
];

/// However the processes behave, a call is over soon after the grace.
#[test]
fn nothing_survives_the_end_of_a_call() {
    for (_, script) in STUBBORN {
        let shell = Shell::unenforced();
        let started = shell.start(script);
        started.read_line("up");
        started.end_and_wait(Duration::from_millis(200));
        until("only init is left", || shell.descendants() == 1);
    }
}

/// Where orphans go to nobody of ours, they are found, listed and ended by their environment.
#[test]
fn nothing_survives_the_end_of_a_call_on_a_kernel_without_subreapers() {
    let shell = Shell::without_subreapers();
    let gaps = &shell.session.enforcement().gaps;
    assert!(gaps.iter().any(|gap| gap.contains("subreapers")), "{gaps:?}");
    for (number, (name, script)) in STUBBORN.iter().enumerate() {
        let mine = format!("STUBBORN={}-{number}", std::process::id());
        let started = shell.start_with(script, std::slice::from_ref(&mine));
        started.read_line("up");
        started.end_and_wait(Duration::from_millis(200));
        until(name, || processes_with(&mine).is_empty());
    }
}

#[test]
fn an_orphan_keeps_its_call_on_a_kernel_without_subreapers_and_ends_with_the_session() {
    let mine = format!("ORPHAN={}", std::process::id());
    let shell = Shell::without_subreapers();
    let started = shell.start_with("(setsid sleep 1000 > /dev/null 2>&1 &)", std::slice::from_ref(&mine));
    assert_eq!(started.until_ended(), ExitStatus::Exited(0));
    until("the orphan is listed", || {
        started.alive().listed.iter().map(sandbox::LiveProcess::display).eq(["sleep 1000"])
    });
    // A supervisor that is killed leaves its orphans to init; not killed before it has said that the call has started.
    let begun = tempfile::tempdir().unwrap();
    let go = begun.path().join("go");
    let script = format!(
        "(setsid sleep 1001 > /dev/null 2>&1 &) ; until [ -e '{}' ]; do sleep 0.01; done; kill -KILL $PPID",
        go.display()
    );
    let killed = shell.start_with(&script, std::slice::from_ref(&mine));
    std::fs::write(&go, "").unwrap();
    until("init kills what the supervisor left", || processes_with(&mine).len() == 1);
    drop(killed);
    drop(shell);
    until("the orphan ends with the session", || processes_with(&mine).is_empty());
}

#[test]
fn a_sandbox_that_could_lose_processes_does_not_start() {
    let mut plan = sandbox::Plan::unenforced(sandbox::Mode::ReadOnly, sandbox::Network::Restricted);
    plan.writable.clear();
    match sandbox::Session::start(&launcher_without_subreapers(), &plan) {
        Err(sandbox::SessionError::NotEnforceable(reason)) => {
            assert!(reason.contains("SUBREAPER"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_that_obeys_term_ends_within_the_grace() {
    let shell = Shell::unenforced();
    let started = shell.start("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done");
    started.read_line("up");
    let begun = Instant::now();
    let events = started.end_and_wait(10 * PATIENCE);
    assert!(begun.elapsed() < PATIENCE);
    assert!(matches!(events[0], CallEvent::Ended { status: ExitStatus::Exited(3), .. }), "{events:?}");
    assert!(started.output().ends_with("bye\n"));
}

#[test]
fn the_end_of_the_last_process_says_that_it_was_the_last() {
    for (script, expected) in [("exit 0", true), ("exit 3", true), ("sleep 1000 & exit 0", false)] {
        let shell = Shell::unenforced();
        let started = shell.start(script);
        let last = loop {
            match started.call.event_within(PATIENCE).unwrap() {
                Some(CallEvent::Ended { last, .. }) => break last,
                Some(_) => {}
                None => panic!("{script}: no end"),
            }
        };
        assert_eq!(last, expected, "{script}");
        if expected {
            assert_eq!(started.call.event_within(PATIENCE).unwrap(), Some(CallEvent::Gone), "{script}");
        } else {
            assert_eq!(started.alive().total, 1, "{script}");
        }
    }
}

#[test]
fn a_program_ignores_and_blocks_no_signal_though_its_supervisor_does() {
    let shell = Shell::unenforced();
    let started = shell.start("grep -E 'Sig(Ign|Blk)' /proc/self/status; echo over");
    started.read_line("over");
    let output = started.output();
    let set = |name| {
        let digits = output.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(digits.trim(), 16).unwrap()
    };
    // The C library keeps 32 and 33 for itself: who starts the tests may have had them ignored, and nobody can change
    // it.
    assert_eq!((set("SigBlk:"), set("SigIgn:") & !(0b11 << 31)), (0, 0), "{output}");
}

#[test]
fn dropping_a_call_kills_it() {
    let shell = Shell::unenforced();
    let started = shell.start("setsid sleep 1000 & sleep 1001");
    until("both are there", || started.alive().total == 3);
    drop(started);
    until("only init is left", || shell.descendants() == 1);
}

#[test]
fn a_command_that_kills_its_supervisor_is_killed_itself() {
    let shell = Shell::unenforced();
    let (started, go) =
        shell.start_waiting("setsid sleep 1000 & read -r line <&9; kill -9 $PPID; sleep 1001");
    drop(go);
    until("the supervisor is gone", || {
        matches!(started.call.event_within(Duration::from_secs(1)), Err(sandbox::SessionError::Lost))
    });
    until("only init is left", || shell.descendants() == 1);
    assert_eq!(shell.run("echo next").output, "next\n");
}

#[test]
fn a_command_that_stops_its_supervisor_is_ended_all_the_same() {
    let shell = Shell::unenforced();
    let (started, go) = shell.start_waiting(
        "read -r line <&9; (until grep -q '^State:.T' /proc/$PPID/status; do sleep 0.01; done; echo up) & kill -STOP $PPID; sleep 1001",
    );
    drop(go);
    started.read_line("up");
    started.call.ask_end(Duration::from_millis(50)).unwrap();
    let event = started.call.event_within(Duration::from_millis(450)).unwrap();
    assert_eq!(event, None, "a stopped supervisor does not answer");
    started.call.destroy();
    until("only init is left", || shell.descendants() == 1);
}

/// Whoever can open nothing finds no processes, and must not take that for there being none.
#[test]
fn a_command_that_blinds_what_watches_over_it_ends_with_the_session() {
    let mine = format!("BLINDED={}", std::process::id());
    let mut shell = Shell::unenforced();
    shell.environment.push(mine.clone().into());
    let (started, go) = shell.start_waiting(
        "read -r line <&9; read -r _ _ _ init _ < /proc/$PPID/stat; setsid sleep 1000 & for pid in $PPID $init; do prlimit --pid $pid --nofile=0:0; done; echo blind; sleep 1001",
    );
    drop(go);
    started.read_line("blind");
    // A supervisor that is gone already hears nothing.
    let _ = started.call.ask_end(Duration::ZERO);
    until("nothing is left", || processes_with(&mine).is_empty());
    until("the session has ended", || !shell.session.is_alive());
}

#[test]
fn the_end_of_a_session_ends_every_call() {
    let shell = Shell::unenforced();
    let started = shell.start("trap '' TERM; setsid sleep 1000 & sleep 1001");
    until("both are there", || started.alive().total == 3);
    let pids: Vec<i32> = started.alive().listed.iter().map(|process| process.pid).collect();
    drop(shell);
    assert!(pids.iter().all(|pid| !process_exists(*pid)));
}

/// The server is a process of its own here, so that it can be killed as rudely as it gets.
#[test]
fn a_killed_server_leaves_nothing() {
    let mut server = support::server().arg("setsid sleep 7777 & echo up; sleep 7778").spawn_with_output();
    let pids = server.read_pids();
    assert!(!pids.is_empty() && pids.iter().all(|pid| process_exists(*pid)));
    server.kill();
    until("all are gone", || pids.iter().all(|pid| !process_exists(*pid)));
}

#[test]
fn many_calls_leave_nothing_behind() {
    let shell = Shell::unenforced();
    shell.run("true");
    let before = shell.init_state();
    let own = std::fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..500 {
        assert_eq!(shell.run("true").status, ExitStatus::Exited(0));
    }
    until("only init is left", || shell.descendants() == 1);
    let after = shell.init_state();
    // Only root sees any of it.
    let seen = (before.descriptors > 0, before.resident > 0);
    assert!(seen == (true, true) || !rustix::process::geteuid().is_root(), "{before:?}");
    assert_eq!(before.descriptors, after.descriptors);
    assert!(after.resident <= before.resident + 64 * 1024, "{before:?} {after:?}");
    assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() <= own + 8);
}

#[test]
fn calls_do_not_wait_for_each_other() {
    let shell = Shell::unenforced();
    let begun = tempfile::tempdir().unwrap();
    let all =
        format!("cd '{}'; : > $$; until [ $(ls | wc -l) = 16 ]; do sleep 0.01; done", begun.path().display());
    let calls: Vec<_> = (0..16).map(|_| shell.start(&all)).collect();
    for call in &calls {
        assert_eq!(call.until_ended(), ExitStatus::Exited(0));
    }
}

#[test]
fn a_large_command_and_environment_arrive_whole() {
    let shell = Shell::unenforced();
    let padding = "x".repeat(120_000);
    // All together may need a quarter of the stack (execve(2)).
    let stack = getrlimit(Resource::Stack).maximum.unwrap_or(u64::MAX);
    let copies = if stack >= 8 << 20 { 5 } else { 0 };
    let environment = vec![format!("A={padding}"); copies];
    let done = shell.run_with(&format!("echo {padding} | wc -c; env | wc -c"), &environment);
    assert!(done.output.starts_with("120001\n"), "{}", done.output.len());
}

#[test]
fn a_descriptor_is_found_at_its_number_and_no_other_is_open() {
    let shell = Shell::unenforced();
    let (reader, writer) = std::io::pipe().unwrap();
    let done = shell
        .run_passing("echo through > /proc/self/fd/250; ls /proc/self/fd | tr '\\n' ' '", &[(&writer, 250)]);
    drop(writer);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "through\n");
    assert_eq!(done.output, "0 1 2 250 3 ");
}

/// Low numbers are also those of what the processes in between have open themselves.
#[test]
fn every_number_can_be_given() {
    let shell = Shell::unenforced();
    let null = std::fs::File::open("/dev/null").unwrap();
    let passed: Vec<(&dyn AsFd, i32)> = (3..40).map(|number| (&null as &dyn AsFd, number)).collect();
    let done =
        shell.run_passing("for n in 0 1 2 $(seq 3 39); do [ -e /proc/$$/fd/$n ] || echo $n; done", &passed);
    assert_eq!(done.output, "");
}

/// More than fit one message of the kernel's.
#[test]
fn as_many_descriptors_as_the_kernel_passes_on_arrive() {
    let shell = Shell::unenforced();
    let null = std::fs::File::open("/dev/null").unwrap();
    // With the two of the output, 253; fewer where fewer files may be open in the processes in between.
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let last = if most >= 512 { 253 } else { 120 };
    let passed: Vec<(&dyn AsFd, i32)> = (3..=last).map(|number| (&null as &dyn AsFd, number)).collect();
    let script = format!("for n in $(seq 3 {last}); do [ -e /proc/$$/fd/$n ] || echo $n; done");
    let done = shell.run_passing(&script, &passed);
    assert_eq!(done.output, "");
}

#[test]
fn a_program_starts_in_an_open_folder_wherever_that_is_by_now() {
    let shell = Shell::unenforced();
    let parent = tempfile::tempdir().unwrap();
    let (old, new) = (parent.path().join("old"), parent.path().join("new"));
    std::fs::create_dir(&old).unwrap();
    let folder = std::fs::File::open(&old).unwrap();
    std::fs::rename(&old, &new).unwrap();
    std::fs::write(new.join("here"), "").unwrap();
    let done = shell.run_in(&folder, "ls; ls /proc/self/fd");
    assert_eq!(done.output, "here\n0\n1\n2\n3\n");
    std::fs::remove_file(new.join("here")).unwrap();
    std::fs::remove_dir(&new).unwrap();
    assert_eq!(shell.run_in(&folder, "exec ls").status, ExitStatus::Exited(0));
}
