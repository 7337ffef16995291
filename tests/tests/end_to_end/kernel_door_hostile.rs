//! The kernel's door and commands that mean it ill: nothing runs unjudged, nothing hangs, other calls are unharmed.

use std::sync::Arc;
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::{Accept, Decline};
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::{is_here, own_memory};

const DOOR: &[&str] = &["--door", "kernel"];

const RULES: &str = r#"
prefix_rule(["touch"], decision="forbidden", justification="nothing is touched")
prefix_rule(["uname"], decision="prompt")
"#;

#[tokio::test]
async fn who_waits_for_a_person_can_be_stopped_continued_and_killed() {
    let world = World::with_rules(RULES);
    let person = Person::answering([Accept, Decline, Accept]).when_told();
    let client = Client::start_with(&world, &person, DOOR).await;
    // From Python, so that it is no child of the shell's that waits.
    let start = "python3 -c 'import os; os.execvp(\"uname\", [\"uname\"])' & waits=$!; until [ -e told ]; do sleep 0.02; done;";
    for (signals, asked, ends) in [
        ("kill -STOP $waits; kill -CONT $waits; echo now > go; wait $waits; echo $?", 1, "Linux\n0\n"),
        ("kill -TERM $waits; wait $waits; echo $?", 2, "143\n"),
        ("kill -KILL $waits; wait $waits; echo $?", 3, "137\n"),
    ] {
        let _ = std::fs::remove_file(world.workdir().join("told"));
        let command = format!("{start} {signals}");
        let answered = async {
            person.until_asked(asked).await;
            std::fs::write(world.workdir().join("told"), "").expect("written");
            if asked == 1 {
                let _ = end_to_end_tests::waiting::written(&world.workdir().join("go"));
                person.tell();
            }
        };
        let (outcome, ()) = tokio::join!(client.run_within(&command, Duration::from_secs(60)), answered);
        let said = outcome.ran().1;
        assert!(said.ends_with(ends), "{signals}: {outcome:?}");
        if asked > 1 {
            person.tell();
        }
    }
}

/// A filter of the command's own that answers before the server's does, with an error.
#[tokio::test]
async fn a_filter_inside_cannot_answer_in_the_servers_stead() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    // Refuses, or lets trace, what its caller executes from here on.
    let filtered = r#"
import ctypes, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 59}.get(platform.machine(), 221)
step = lambda code, yes, no, value: struct.pack("HBBI", code, yes, no, value)
code = ctypes.create_string_buffer(step(0x20, 0, 0, 0) + step(0x15, 0, 1, number) + step(0x06, 0, 0, int(sys.argv[1], 16)) + step(0x06, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
assert libc.prctl(22, 2, program, 0, 0) == 0
for name in sys.argv[2:]:
    pid = os.fork()
    if pid == 0:
        try: os.execv("/usr/bin/" + name, [name, "made"])
        except OSError as error: os._exit(100 + error.errno)
    print(name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"#;
    std::fs::write(world.workdir().join("filtered.py"), filtered).expect("written");
    let runs = client.run("python3 filtered.py 7fff0000 true touch 2>&1 | grep -v denied").await;
    assert_eq!(runs.ran().1, "true 0\ntouch 1\n", "allowed by it: the server answers: {runs:?}");
    let refused = client.run("python3 filtered.py 0005000d true touch; ls").await;
    assert_eq!(refused.ran().1, "true 113\ntouch 113\nfiltered.py\n", "{refused:?}");
    let traced = client.run("python3 filtered.py 7ff00001 true touch 2>&1 | grep -v denied; ls").await;
    assert_eq!(traced.ran().1, "true 0\ntouch 1\nfiltered.py\n", "the server's comes first: {traced:?}");
}

#[tokio::test]
async fn a_storm_of_large_execs_holds_up_no_other_call_for_good() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let storm = "python3 -c '
import os, subprocess, threading
big = [\"x\" * 100000] * 8
def work():
    for number in range(4):
        assert subprocess.run([\"/bin/true\"] + big, env={\"BIG\": \"y\" * 100000}).returncode == 0
        assert subprocess.run([\"touch\"] + big, stderr=subprocess.DEVNULL).returncode == 1
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(\"over\")'; ls";
    let others = async {
        for number in 0..20 {
            let said = format!("{number}\n");
            assert_eq!(client.run(&format!("/bin/echo {number}")).await.ran(), (0, &*said));
        }
    };
    let (stormed, ()) = tokio::join!(client.run_within(storm, Duration::from_secs(100)), others);
    assert_eq!(stormed.ran().1, "over\n", "{stormed:?}");
}

#[tokio::test]
async fn a_process_without_room_for_descriptors_is_refused_all_the_same() {
    let world = World::with_rules(RULES);
    let person = Person::answering([Accept, Decline]);
    let client = Client::start_with(&world, &person, DOOR).await;
    // Eight are open, and there is room for no more.
    let full = "ulimit -n 8; exec 3>&2 4>&2 5>&2 6>&2 7>&2;";
    let refused = client.run(&format!("/usr/bin/env bash -c '{full} /usr/bin/touch x'; ls")).await;
    assert!(refused.ran().1.contains("Operation not permitted"), "{refused:?}");
    assert_eq!(refused.json()["decisions"][0]["decision"], "refused", "{refused:?}");
}

#[tokio::test]
async fn more_wait_at_once_than_are_heard_of_and_all_are_answered() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let all_at_once = r#"python3 -c '
import collections, os
gate, opens = os.pipe()
def wait():
    os.close(opens); os.read(gate, 1); os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
    os.execv("/usr/bin/touch", ["touch", "x"])
children = []
for _ in range(700):
    pid = os.fork()
    if pid == 0: wait()
    children.append(pid)
os.close(opens)
print(dict(collections.Counter(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)))
'; ls"#;
    let outcome = client.run_within(all_at_once, Duration::from_secs(100)).await;
    assert_eq!(outcome.ran(), (0, "{1: 700}\n"), "{outcome:?}");
}

/// Serves one file `prog`, and never says what is in it; says "mounted" when it can be looked for (FUSE's protocol, 7.31).
const HANGING: &str = r#"
import ctypes, os, struct, sys
served = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={served},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if ctypes.CDLL(None).mount(b"fuse", sys.argv[1].encode(), b"fuse", 0, options) != 0: sys.exit("cannot be mounted")
print("mounted", flush=True)
def attributes(number, mode): return struct.pack("<QQQQQQ10I", number, 100, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
root, prog = attributes(1, 0o40755), attributes(2, 0o100755)
while True:
    asked = os.read(served, 1 << 17)
    _, what, number, node = struct.unpack("<IIQQ", asked[:24])
    answer, errno = b"", 0
    if what == 26: answer = struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 4096, 1, 32, 0, 0) + bytes(24)
    elif what == 1 and asked[40:] == b"prog\0": answer = struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + prog
    elif what == 1: errno = -2
    elif what == 3: answer = struct.pack("<QII", 0, 0, 0) + (root if node == 1 else prog)
    elif what in (2, 14, 15, 36, 42): continue
    else: errno = -38
    os.write(served, struct.pack("<IiQ", 16 + len(answer), errno, number) + answer)
"#;

/// A file system that does not answer, as a network's that is gone.
#[tokio::test]
async fn a_program_in_a_file_system_that_hangs_holds_up_its_own_call_alone() {
    let world = World::with_rules(RULES);
    let there = world.workdir().join("there/mounted");
    std::fs::create_dir_all(&there).expect("a folder");
    let mut server = std::process::Command::new("python3");
    let mut server = server
        .args(["-c", HANGING])
        .arg(&there)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("Python");
    let mut said = String::new();
    let output = server.stdout.as_mut().expect("a pipe");
    let read = std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut said);
    let is_mounted = read.is_ok() && said == "mounted\n";
    if is_here("FUSE", is_mounted.then_some(()).ok_or_else(|| "nothing can be mounted".into())) {
        let client = Client::start_with(&world, &Person::absent(), DOOR).await;
        let hanging = client.run_within("there/mounted/prog", Duration::from_secs(8));
        let others = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let other = client.run_within("/bin/echo other", Duration::from_secs(5)).await;
                assert_eq!(other.ran(), (0, "other\n"));
            }
        };
        let ((), _) = tokio::join!(others, hanging);
    }
    let _ = server.kill();
    let _ = server.wait();
    let _ = std::process::Command::new("umount").arg("-l").arg(&there).status();
}

/// The names by which `/proc` knows a file, and which each process follows by itself.
#[tokio::test]
async fn by_no_name_in_proc_is_anything_executed_that_is_forbidden() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let script = r##"python3 -c '
import os
it, me = os.open("/usr/bin/touch", os.O_RDONLY), os.getpid()
os.set_inheritable(it, True)
names = [f"/proc/self/fd/{it}", f"/dev/fd/{it}", f"/proc/{me}/fd/{it}", f"/proc/thread-self/fd/{it}", f"/proc/./self/fd/{it}",
    f"/proc/self/../{me}/fd/{it}", f"/proc/self/task/{me}/fd/{it}", "/proc/self/root/usr/bin/touch", f"/proc/{me}/root/usr/bin/touch",
    "/proc/1/root/usr/bin/touch", "//proc/self/root/../usr/bin/touch", "/proc/self/cwd/link", "link", "other", "script", "/proc/self/status"]
os.symlink(f"/proc/self/fd/{it}", "link"); os.symlink("/proc/self/root/usr/bin/touch", "other")
with open("script", "w") as script: script.write("#!/proc/self/root/usr/bin/touch\n")
os.chmod("script", 0o755)
for name in names:
    if os.fork() == 0:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
        try: os.execv(name, ["x", "evil"])
        finally: os._exit(0)
    os.wait()
'; ls evil 2> /dev/null; echo over"##;
    let outcome = client.run(script).await;
    assert_eq!(outcome.ran().1, "over\n", "{outcome:?}");
}

/// By hand 100,000: set `SHELL_TOOL_MCP_EXECS`.
#[tokio::test]
async fn thousands_of_execs_leave_nothing_behind_in_the_server() {
    let execs =
        std::env::var("SHELL_TOOL_MCP_EXECS").ok().and_then(|execs| execs.parse().ok()).unwrap_or(5000);
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let run = async |execs: u32| {
        let each = "import os, sys\nfor _ in range(int(sys.argv[1])): os.waitpid(os.posix_spawn(\"/bin/true\", [\"true\"], {}), 0)";
        let outcome = client
            .run_within(&format!("python3 -c '{each}' {execs}; echo $?"), Duration::from_secs(900))
            .await;
        assert_eq!(outcome.ran().1, "0\n", "{outcome:?}");
    };
    run(200).await;
    let server = client.server();
    let before = own_memory(server);
    run(execs).await;
    let after = own_memory(server);
    if std::env::var_os("SHELL_TOOL_MCP_EXECS").is_some() {
        eprintln!("{execs} execs: {before} KiB of memory before, {after} KiB after");
    }
    assert!(after <= before + 1024, "{before} KiB before, {after} KiB after");
}

#[tokio::test]
async fn calls_at_once_are_each_judged_by_themselves() {
    let world = World::with_rules(RULES);
    let client = Arc::new(Client::start_with(&world, &Person::absent(), DOOR).await);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..64 {
        let client = Arc::clone(&client);
        calls.spawn(async move {
            let many =
                format!("for n in 1 2 3 4 5; do env echo {number}; done; env touch x 2>&1 | grep -c denied");
            let outcome = client.run_within(&many, Duration::from_secs(100)).await;
            assert_eq!(outcome.ran().1, format!("{}1\n", format!("{number}\n").repeat(5)), "{outcome:?}");
        });
    }
    calls.join_all().await;
    assert!(!world.workdir().join("x").exists());
}

/// Processes wait for a call before there is one, in reach of the commands before it.
#[tokio::test]
async fn whoever_ends_or_stops_what_waits_for_the_next_call_does_not_stop_that() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let said = |outcome: end_to_end_tests::client::Outcome| outcome.ran().1.to_owned();
    assert_eq!(said(client.run("echo first").await), "first\n");
    let waiting = "others=$(for entry in /proc/[0-9]*; do read -r name < $entry/comm; number=${entry#/proc/}; \
                   [ \"$name\" = sandbox-call ] && [ $number != $PPID ] && echo $number; done);";
    for signal in ["STOP", "KILL"] {
        // It may not be there yet, or no longer.
        let attack = format!(
            "until {waiting} [ -n \"$others\" ]; do sleep 0.01; done; kill -{signal} $others 2> gone; echo sent"
        );
        assert_eq!(said(client.run_within(&attack, Duration::from_secs(20)).await), "sent\n", "{signal}");
        for next in ["echo next", "env echo after; env touch x 2> refused; grep -c denied refused"] {
            let expected = if next == "echo next" { "next\n" } else { "after\n1\n" };
            assert_eq!(said(client.run_within(next, Duration::from_secs(20)).await), expected, "{signal}");
        }
    }
    assert!(!world.workdir().join("x").exists());
}

/// Stops all that it can reach, again and again, and outlives its call.
const STOPS_ALL: &str = "import os, signal, time\nend = time.time() + 12\nwhile time.time() < end:\n for p in os.listdir('/proc'):\n  if p.isdigit() and int(p) not in (1, os.getpid()):\n   try: os.kill(int(p), signal.SIGSTOP)\n   except OSError: pass\n time.sleep(0.002)\n";

#[tokio::test]
async fn whoever_stops_all_again_and_again_keeps_no_call_from_an_answer() {
    let world = World::with_rules(RULES);
    std::fs::write(world.workdir().join("loop.py"), STOPS_ALL).expect("a script");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    client.run("setsid python3 loop.py > /dev/null 2>&1 &").await;
    let mut said = String::new();
    for _ in 0..8 {
        // An answer comes, whichever; without one this waits in vain, and fails.
        said = format!("{:?}", client.run_within("sleep 0.2; echo alive", Duration::from_secs(2)).await);
        if said.contains("alive\\n") {
            break;
        }
    }
    assert!(said.contains("alive\\n"), "{said}");
}
