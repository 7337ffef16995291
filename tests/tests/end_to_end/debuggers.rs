//! Debuggers inside (`debug = true`): they work on the command's own processes, rules hold below them, and nothing of
//! ours can be traced.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::Accept;
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::machine::is_installed;

const DOOR: &[&str] = &["--door", "kernel"];

/// `id` may leave, `touch` is forbidden, `uname` is asked about; all else runs.
const RULES: &str = r#"
prefix_rule(["id"], decision="allow")
prefix_rule(["touch"], decision="forbidden", justification="nothing is touched")
prefix_rule(["uname"], decision="prompt")
prefix_rule(["sleep", "8"], decision="forbidden")
"#;

fn debugging() -> World {
    World::with_rules(RULES).configured("[shell_tool]\ndebug = true\n")
}

/// A program of ours, compiled into the folder to work in.
fn build(world: &World, name: &str) {
    let source = format!("{}/programs/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-O1", "-g", "-static", "-o"]).arg(world.workdir().join(name)).arg(source);
    assert!(compiler.status().expect("a C compiler").success());
}

fn decided(outcome: &Outcome) -> Vec<(String, String)> {
    let list = outcome.json()["decisions"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    list.iter().map(|made| (text(&made["decision"]), text(&made["why_not_escalated"]))).collect()
}

#[tokio::test]
async fn strace_and_gdb_work_on_a_commands_own_processes() {
    let world = debugging();
    build(&world, "traces");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    if is_installed("strace") {
        let traced = client
            .run("strace -f -qq -e trace=execve -e signal=none sh -c '/bin/echo hi; /bin/true' 2>&1")
            .await;
        for part in ["execve(\"/bin/echo\", [\"/bin/echo\", \"hi\"]", "\nhi\n", "execve(\"/bin/true\""] {
            assert!(traced.ran().1.contains(part), "{traced:?}");
        }
    }
    if is_installed("gdb") {
        let script = "gdb -batch -nx -ex 'break main' -ex run -ex 'print argc + 40' -ex continue --args ./traces 0 2>&1";
        let traced = client.run_within(script, Duration::from_secs(60)).await;
        for part in ["$1 = 42", "slept 0, refused 0", "exited normally"] {
            assert!(traced.ran().1.contains(part), "{traced:?}");
        }
    }
}

#[tokio::test]
async fn without_the_setting_nothing_is_traced_and_a_result_says_what_allows_it() {
    let world = World::with_rules(RULES);
    build(&world, "traces");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let tried = client.run("python3 -c 'import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.ptrace(0, 0, 0, 0), ctypes.get_errno())'").await;
    assert_eq!(tried.ran().1, "-1 1\n", "{tried:?}");
    if is_installed("strace") {
        let tried = client.run("strace true").await;
        assert!(tried.json()["denials"].to_string().contains("debug = true"), "{tried:?}");
    }
}

/// AddressSanitizer looks for leaks by stopping its own threads.
#[tokio::test]
async fn leaks_are_found_without_the_setting_and_nothing_is_executed_by_what_is_stopped() {
    let world = World::with_rules(RULES);
    let source =
        "#include <stdlib.h>\nint main(void) { char *volatile lost = malloc(9); lost = 0; return 0; }\n";
    std::fs::write(world.workdir().join("leaks.c"), source).expect("a program");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let build = client.run("cc -fsanitize=address leaks.c -o leaks").await;
    if build.ran().0 == 0 {
        let outcome = client.run("./leaks 2>&1 | grep -c 'Leak\\|leaked'; ./leaks 2> /dev/null").await;
        assert_eq!(outcome.ran(), (1, "2\n"), "{outcome:?}");
    }
    // As LeakSanitizer does: a part of a process stops it, which then executes something.
    let script = r#"python3 -c '
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
ATTACH, CONT, PEEKTEXT, POKETEXT, SETREGS, TRACEME, SEIZE = 16, 7, 1, 4, 13, 0, 0x4206
def ask(*request): return libc.ptrace(*request) and ctypes.get_errno()
print("traceme", ask(TRACEME, 0, 0, 0), flush=True)
victim = os.getpid()
if os.fork():
    time.sleep(1)
    try: os.execv("/bin/echo", ["echo", "executed"])
    except PermissionError: print("not executed", flush=True)
    os.wait()
    os._exit(0)
print("seize", ask(SEIZE, victim, 0, 0), "attach", ask(ATTACH, victim, 0, 0), flush=True)
time.sleep(0.2)
for name, request in ("peek", PEEKTEXT), ("poke", POKETEXT), ("registers", SETREGS):
    print(name, ask(request, victim, 0, 0), flush=True)
libc.ptrace(CONT, victim, 0, 0)
time.sleep(2)
os._exit(0)
'"#;
    let tried = client.run(script).await;
    // What it would execute could not be proved.
    const SAID: &str = "traceme 1\nseize 1 attach 0\npeek 1\npoke 1\nregisters 1\nnot executed\n";
    assert_eq!(tried.ran(), (0, SAID), "{tried:?}");
}

/// What lets LeakSanitizer look at its own threads leads to no other process: not to one of the command's own, nor of another call,
/// nor to what keeps them.
#[tokio::test]
async fn nobody_stops_what_is_not_a_part_of_itself() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    client.run("sleep 61 > /dev/null 2>&1 &").await;
    let script = r#"sleep 62 & python3 -c '
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
ATTACH, SETOPTIONS, SYSCALL = 16, 0x4200, 24
def attach(pid): return libc.ptrace(ATTACH, pid, 0, 0) and ctypes.get_errno()
child = os.fork()
if not child:
    time.sleep(60)
tried = {}
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    if pid != os.getpid(): tried[open(f"/proc/{pid}/comm").read().strip() + ("!" if pid == child else "")] = attach(pid)
print(sorted(set(tried.values())), len(tried) >= 4, attach(child), attach(2**31 - 1), attach(-1), attach(0), flush=True)
os.kill(child, 9)
os.waitpid(child, 0)
# A grandchild, whose parent is not the one that it names.
if not os.fork():
    if not os.fork():
        print("grandchild", attach(int(sys.argv[1])), flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
# The same program executed anew is another one.
if not os.fork():
    os.execv(sys.executable, [sys.executable, "-c", "import ctypes, os; l = ctypes.CDLL(None, use_errno=True); print(\"anew\", l.ptrace(16, os.getppid(), 0, 0), ctypes.get_errno())"])
os.wait()
' $$; kill %1"#;
    let outcome = client.run(script).await;
    assert_eq!(outcome.ran(), (0, "[1] True 1 1 1 1\ngrandchild 1\nanew -1 1\n"), "{outcome:?}");
    let denied = outcome.json()["denials"].to_string();
    assert!(denied.contains("\"denied by the sandbox: tracing a process (ptrace); "), "{outcome:?}");
    if is_installed("gdb") {
        let outcome =
            client.run_within("sleep 63 & gdb -batch -nx -p $!; kill $!", Duration::from_secs(60)).await;
        assert!(outcome.ran().1.contains("ptrace: Operation not permitted"), "{outcome:?}");
        assert!(outcome.json()["denials"].to_string().contains("debug = true"), "{outcome:?}");
    }
}

#[tokio::test]
async fn rules_hold_for_what_is_traced_which_cannot_leave() {
    if !is_installed("strace") {
        return;
    }
    let world = debugging();
    let client = Client::start_with(&world, &Person::answering([Accept]), DOOR).await;
    let trace = async |program: &str| client.run(&format!("strace -o /dev/null {program} 2>&1; ls")).await;
    let refused = trace("touch x").await;
    assert!(refused.ran().1.ends_with("Operation not permitted\n"), "{refused:?}");
    assert_eq!(decided(&refused)[0].0, "refused");
    let stays = ("a debugger traces its process, which therefore cannot leave the sandbox").to_owned();
    let stayed = trace("id -u").await;
    assert_eq!(
        stayed.ran().1,
        "0\n".replace('0', &rustix::process::getuid().as_raw().to_string()),
        "{stayed:?}"
    );
    assert_eq!(decided(&stayed), [("ran_inside".into(), stays.clone())]);
    let asked = trace("uname").await;
    assert_eq!((asked.ran().1, decided(&asked)), ("Linux\n", vec![("approved_ran".into(), stays)]));
}

/// The tracer rewrites what is judged. Most tries are refused or judged as what they become; the first that wins ends the call.
#[tokio::test]
async fn a_traced_process_that_becomes_something_else_ends_its_call() {
    let world = debugging();
    build(&world, "traces");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let outcome = client.run_within("./traces 400; echo over", Duration::from_secs(100)).await;
    match outcome.ran() {
        (0, said) => assert!(said.starts_with("slept 0,") && said.ends_with("over\n"), "{outcome:?}"),
        (code, _) => {
            assert_eq!(i32::try_from(code), Ok(128 + libc::SIGTERM), "{outcome:?}");
            let last = decided(&outcome).pop().expect("a decision");
            assert!(last.1.contains("its call was ended"), "{outcome:?}");
        }
    }
    assert_eq!(client.run("/bin/echo others").await.ran(), (0, "others\n"), "other calls are unharmed");
}

#[tokio::test]
async fn nothing_of_ours_can_be_traced_nor_counters_be_read() {
    let world = debugging();
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    // Another call's, and all that there is besides: init, and what waits for the shells of both calls.
    let script = r#"sleep 5 & python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    if pid == os.getpid(): continue
    name = open(f"/proc/{pid}/comm").read().strip()
    traced = libc.ptrace(SEIZE, pid, 0, 0)
    print(name, traced, ctypes.get_errno() if traced else 0)
attributes = ctypes.create_string_buffer(128)
print("counters", libc.syscall({"x86_64": 298}.get(os.uname().machine, 241), attributes, 0, -1, -1, 0), ctypes.get_errno())
'; kill %1"#;
    let outcome = client.run(script).await;
    let said = outcome.ran().1;
    assert!(said.contains("sleep 0 0\n"), "its own can be traced: {outcome:?}");
    assert!(said.contains("counters -1 1\n"), "{outcome:?}");
    let own = |line: &&str| ["sleep ", "bash ", "counters "].iter().any(|name| line.starts_with(name));
    let ours: Vec<&str> = said.lines().filter(|line| !own(line)).collect();
    assert!(ours.len() >= 2 && ours.iter().all(|line| line.ends_with(" -1 1")), "{outcome:?}");
}
