//! The kernel's door: rules bind what every process of a command executes, however it does.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::{Accept, Decline, Deny};
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

const DOOR: &[&str] = &["--door", "kernel"];

/// `id` may leave, `touch` is forbidden, `uname` is asked about; all else runs.
const RULES: &str = r#"
prefix_rule(["id"], decision="allow")
prefix_rule(["touch"], decision="forbidden", justification="nothing is touched")
prefix_rule(["uname"], decision="prompt")
"#;

/// Ways to execute a program from elsewhere than the command's own shell; `$P` is it, without arguments. None of them names it in
/// its own arguments.
const WAYS: &[(&str, &str)] = &[
    ("a script", "printf '#!/bin/sh\\n%s\\n' $P > way; chmod +x way; ./way"),
    ("env with a variable", "printf '#!/usr/bin/env -S A=1 sh\\n%s\\n' $P > way; chmod +x way; ./way"),
    ("xargs", "echo $P > list; xargs -a list env --"),
    ("find", "mkdir d; printf 'exec %s\\n' $P > d/way; find d -name way -exec sh {} \\;"),
    ("sh -c", "export P; sh -c 'exec $P'"),
    ("make", "printf 'all: a b\\na:\\n\\t@sleep 0.01\\nb:\\n\\t@%s\\n' $P > Makefile; make -s -j2"),
    (
        "Python's subprocess (vfork)",
        "echo $P > name; python3 -c 'import subprocess as s; raise SystemExit(s.run([open(\"name\").read().strip()]).returncode)'",
    ),
    (
        "Python's posix_spawn",
        "echo $P > name; python3 -c 'import os,shutil; n=open(\"name\").read().strip(); p=os.posix_spawn(shutil.which(n),[n],os.environ); raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(p,0)[1]))'",
    ),
    (
        "a thread of Python's",
        "echo $P > name; python3 -c 'import os,threading; n=open(\"name\").read().strip(); t=threading.Thread(target=lambda: os.execvp(n,[n])); t.start(); t.join()'",
    ),
    (
        "fexecve",
        "echo $P > name; python3 -c 'import os,shutil; n=open(\"name\").read().strip(); os.execve(os.open(shutil.which(n),os.O_RDONLY|os.O_CLOEXEC),[n],os.environ)'",
    ),
    ("Perl", "echo $P > name; perl -e 'open F,\"name\"; $n=<F>; chomp $n; exec {$n} $n'"),
    (
        "a session of its own",
        "echo $P > name; python3 -c 'import os; n=open(\"name\").read().strip(); p=os.fork(); os.waitpid(p,0) if p else (os.setsid(), os.execvp(n,[n]))'",
    ),
];

fn way(script: &str, program: &str) -> String {
    format!("rm -r -- * 2> /dev/null; P={program}; {script}")
}

fn decided(outcome: &Value) -> Vec<(String, String)> {
    let list = outcome["decisions"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter().map(|made| (text(&made["argv"][0]), text(&made["decision"]))).collect()
}

#[tokio::test]
async fn what_runs_leaves_or_is_refused_does_so_from_wherever_it_is_executed() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let level = client.run("true").await.json()["sandbox"].as_str().map(str::to_owned);
    assert!(level.is_some_and(|level| level.ends_with("+door")), "there is a kernel's door here");
    for (name, script) in WAYS {
        let runs = client.run(&way(script, "whoami")).await;
        assert_eq!(runs.ran().1, "root\n", "whoami by {name}: {runs:?}");
        assert_eq!(decided(runs.json()), [], "whoami by {name}");

        let leaves = client.run(&way(script, "id")).await;
        assert!(leaves.ran().1.starts_with("uid="), "id by {name}: {leaves:?}");
        assert_eq!(decided(leaves.json()), [("id".into(), "escalated".into())], "id by {name}: {leaves:?}");
        let parents = leaves.json()["decisions"][0]["parents"].as_array().map_or(0, Vec::len);
        assert!(parents > 0, "id by {name}: {leaves:?}");

        let refused = client.run(&way(script, "touch")).await;
        assert!(
            refused.ran().1.contains("Execution denied: Execution forbidden by policy: nothing is touched"),
            "touch by {name}: {refused:?}"
        );
        assert_eq!(
            decided(refused.json()),
            [("touch".into(), "refused".into())],
            "touch by {name}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_person_is_asked_from_wherever_it_is_executed_and_told_on_whose_behalf() {
    let world = World::with_rules(RULES);
    let person = Person::answering(WAYS.iter().flat_map(|_| [Accept, Deny]));
    let client = Client::start_with(&world, &person, DOOR).await;
    for (asked, (name, script)) in WAYS.iter().enumerate() {
        let yes = client.run(&way(script, "uname")).await;
        assert_eq!(yes.ran().1, "Linux\n", "{name}: {yes:?}");
        assert_eq!(decided(yes.json()), [("uname".into(), "approved_escalated".into())], "{name}");
        let question = person.asked()[2 * asked].clone();
        assert!(question.contains("Started by `"), "{name}: {question}");
        let no = client.run(&way(script, "uname")).await;
        assert!(no.ran().1.contains("User declined execution"), "{name}: {no:?}");
    }
}

#[tokio::test]
async fn errors_of_execve_are_the_kernels_and_end_nobody() {
    let world = World::with_rules("");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let script = "
        printf 'not a program' > text; chmod +x text; ./text; echo $?
        mkdir folder; ./folder; echo $?; : > plain; ./plain; echo $?; ./missing; echo $?
        printf '#!/no/such/interpreter\\n' > script; chmod +x script; ./script; echo $?
        python3 -c '
import os, errno
for name in \"./text ./folder ./plain ./missing ./script /proc/self/cwd/missing\".split():
    try: os.execv(name, [name])
    except OSError as error: print(name, errno.errorcode[error.errno])
try: os.execv(\"/bin/true\", [\"true\", \"x\" * (128 << 10)])
except OSError as error: print(errno.errorcode[error.errno])
'; echo $?";
    let outcome = client.run(script).await;
    let expected = [
        "./text: line 1: not: command not found",
        "127",
        "bash: line 3: ./folder: Is a directory",
        "126",
        "bash: line 3: ./plain: Permission denied",
        "126",
        "bash: line 3: ./missing: No such file or directory",
        "127",
        "bash: line 4: ./script: cannot execute: required file not found",
        "127",
        "./text ENOEXEC",
        "./folder EACCES",
        "./plain EACCES",
        "./missing ENOENT",
        "./script ENOENT",
        "/proc/self/cwd/missing ENOENT",
        "E2BIG",
        "0",
    ];
    assert_eq!(outcome.ran().1.lines().collect::<Vec<_>>(), expected, "{outcome:?}");
}

#[tokio::test]
async fn text_without_an_interpreter_is_asked_about_and_then_run_by_whoever_called_it() {
    let rules = r#"
prefix_rule(["asked"], decision="prompt")
prefix_rule(["never"], decision="forbidden", justification="not this")
"#;
    let world = World::with_rules(rules);
    let person = Person::answering([Accept, Deny, Accept]);
    let client = Client::start_with(&world, &person, DOOR).await;
    let yes = client
        .run("echo 'echo ran as \"$0\" \"$1\"' > asked; chmod +x asked; cp asked never; ./asked x")
        .await;
    assert_eq!(yes.ran(), (0, "ran as ./asked x\n"), "{yes:?}");
    assert_eq!(decided(yes.json()), [("./asked".into(), "approved_ran".into())], "{yes:?}");
    let no = client.run("./asked x; echo $?").await;
    assert!(no.ran().1.contains("User declined execution") && !no.ran().1.contains("ran as"), "{no:?}");
    let never = client.run("./never; python3 -c 'import os; os.execv(\"./never\", [\"never\"])'").await;
    assert_eq!(never.ran().1.matches("not this").count(), 2, "{never:?}");
    let kernels = "import os, errno\ntry: os.execv('./asked', ['asked'])\nexcept OSError as e: print(errno.errorcode[e.errno])";
    let python = client.run(&format!("python3 -c \"{kernels}\"")).await;
    assert_eq!(python.ran().1, "ENOEXEC\n", "{python:?}");
    assert_eq!(person.asked().len(), 3);
}

#[tokio::test]
async fn what_cannot_become_the_wrapper_runs_inside_or_not_at_all() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    // One descriptor is free, and the wrapper needs two.
    let inside = client.run("env sh -c 'ulimit -n 4; exec id'").await;
    assert!(inside.ran().1.starts_with("uid="), "{inside:?}");
    assert_eq!(decided(inside.json()), [("id".into(), "ran_inside".into())], "{inside:?}");
    let why = inside.json()["decisions"][0]["why_not_escalated"].to_string();
    assert!(why.contains("cannot give way"), "{inside:?}");
    let refused = client.run("env sh -c 'ulimit -n 4; exec /usr/bin/touch x'").await;
    assert!(refused.ran().1.contains("Operation not permitted"), "{refused:?}");
    assert_eq!(decided(refused.json()), [("/usr/bin/touch".into(), "refused".into())], "{refused:?}");
}

#[tokio::test]
async fn what_a_heuristic_calls_dangerous_is_asked_about_for_the_commands_own_shell_alone() {
    let world = World::with_rules("").configured("");
    let person = Person::answering([Decline]);
    let client = Client::start_with(&world, &person, DOOR).await;
    let script = "rm -rf ../a; printf 'all:\\n\\t@rm -rf ../a\\n' > Makefile; make; ls -d ../a";
    std::fs::create_dir(world.home().join("a")).expect("a folder that is not the command's");
    let outcome = client.run(script).await;
    assert_eq!(outcome.ran().1.lines().last(), Some("../a"), "{outcome:?}");
    assert_eq!(person.asked().len(), 1);
}

/// Puts a filter with a listener on itself, and becomes the server: as in a container whose manager listens.
const LISTENED_TO: &str = r#"
import ctypes, fcntl, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
allow = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(allow)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
listener = libc.syscall({"x86_64": 317}.get(platform.machine(), 277), 1, 8, program)
assert listener >= 0, os.strerror(ctypes.get_errno())
fcntl.fcntl(listener, fcntl.F_SETFD, 0)
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[tokio::test]
async fn where_something_listens_already_the_wrapper_judges_and_a_result_says_once_why() {
    let world = World::with_rules(RULES);
    let server = world.server(DOOR);
    let mut command = std::process::Command::new("/usr/bin/python3");
    world.surround(&mut command);
    command.args(["-c", LISTENED_TO]).arg(server.get_program()).args(server.get_args());
    let client = Client::start_command(&world, &Person::absent(), command).await;
    let first = client.run("/bin/true").await;
    let said = first.json()["notes"].to_string();
    assert!(said.contains("there is no kernel's door") && said.contains("busy"), "{first:?}");
    assert!(first.json()["sandbox"].as_str().is_some_and(|level| !level.ends_with("+door")), "{first:?}");
    let refused = client.run("touch x").await;
    assert!(refused.ran().1.contains("nothing is touched"), "{refused:?}");
    assert!(!refused.json()["notes"].to_string().contains("kernel's door"), "said once: {refused:?}");
}

const BY: &str = r#"
prefix_rule(["uname"], decision="forbidden", by=["make"], justification="not from make")
prefix_rule(["id"], decision="allow", by=["find"])
"#;

#[tokio::test]
async fn a_rule_may_go_by_what_has_started_the_program() {
    let world = World::with_rules(BY);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let make = |recipe: &str| format!("printf 'all:\\n\\t@%s\\n' '{recipe}' > Makefile; make -s");
    let decided_by = async |script: &str| decided(client.run(script).await.json());
    assert_eq!(decided_by("uname; env uname").await, []);
    assert_eq!(decided_by(&make("env uname")).await, [("uname".into(), "refused".into())]);
    // Whose parent is gone may have been started by anybody.
    let orphan = make("(sleep 0.2; env uname; touch done) & :") + "; until [ -e done ]; do sleep 0.05; done";
    assert_eq!(decided_by(&orphan).await, [("uname".into(), "refused".into())]);

    assert_eq!(decided_by("id; env id").await, []);
    let found = client.run("find . -maxdepth 0 -exec env id ';'").await;
    assert_eq!(decided(found.json()), [("id".into(), "escalated".into())], "{found:?}");
    // What only calls itself so is not it: a copy, a name.
    assert_eq!(decided_by("cp \"$(type -P env)\" find; ./find id; (exec -a find env id)").await, []);
}

#[tokio::test]
async fn what_has_started_it_is_not_known_behind_the_wrappers_door() {
    let world = World::with_rules(BY);
    let client = Client::start_with(&world, &Person::absent(), &["--door", "wrapper"]).await;
    let refused = client.run("uname").await;
    assert!(
        refused.ran().1.contains("not from make") && refused.ran().1.contains("not known here"),
        "{refused:?}"
    );
    let inside = client.run("id").await;
    assert_eq!(decided(inside.json()), [("id".into(), "ran_inside".into())], "{inside:?}");
    let why = inside.json()["decisions"][0]["why_not_escalated"].to_string();
    assert!(
        why.contains("default.rules:3 allows it by what has started it, which is not known here"),
        "{why}"
    );
}

#[tokio::test]
async fn the_same_program_is_asked_about_once_below_one_command() {
    let world = World::with_rules(RULES);
    let person = Person::answering([Accept, Accept, Accept, Accept]);
    let client = Client::start_with(&world, &person, DOOR).await;
    let script = "printf 'all: a b c\\na b c:\\n\\t@uname\\n' > Makefile; make -s; env LEVEL=2 uname";
    let ran = client.run(script).await;
    assert_eq!(ran.ran().1, "Linux\nLinux\nLinux\nLinux\n", "{ran:?}");
    assert_eq!(person.asked().len(), 1, "{:?}", person.asked());
    // So is what the command's own shell starts.
    let ran = client.run("for i in 1 2 3; do uname -n; done; env LEVEL=2 uname -n; make -s -j3").await;
    assert_eq!((ran.ran().0, person.asked().len()), (0, 3), "{:?}", person.asked());
    let person = Person::answering([Accept, Accept, Accept, Accept]);
    let client = Client::start_with(&world, &person, DOOR).await;
    client.run("env uname").await;
    // Other arguments, another folder, another call: each is another question.
    client.run("env uname; env uname -s; mkdir -p d; cd d; env uname").await;
    assert_eq!(person.asked().len(), 4, "{:?}", person.asked());
}

#[tokio::test]
async fn what_looks_dangerous_is_asked_about_where_the_commands_own_shell_does_it_and_once() {
    let world = World::with_rules("prefix_rule([\"rmdir\"], \"prompt\")").configured("");
    let person = Person::answering([Accept, Accept, Accept, Accept]);
    let client = Client::start_with(&world, &person, DOOR).await;
    let make = "printf 'all:\\n\\t@rm -rf ../a; rm -rf ../a/b\\n' > Makefile; make -s";
    let clean = client.run(make).await;
    assert_eq!((decided(clean.json()), person.asked().len()), (vec![], 0), "{clean:?}");
    // Nor for what is found or read.
    let found = "mkdir -p x/y z; find . -name y -prune -exec rm -rf {} +; echo z | xargs rm -rf; ls -d x/y z";
    let found = client.run(found).await;
    assert_eq!((decided(found.json()), person.asked().len(), found.ran().0), (vec![], 0, 2), "{found:?}");
    // What a person has written holds there, too.
    client.run("mkdir b; printf 'all:\\n\\t@rmdir b\\n' > Makefile; make -s").await;
    assert_eq!(person.asked().len(), 1);
    client.run("rm -rf ../a").await;
    assert_eq!(person.asked().len(), 2);
    // Named in the arguments, it is asked about there; not once more when it is executed.
    client.run("mkdir c; env rm -rf ../a; sh -c 'rmdir c'").await;
    assert_eq!(person.asked().len(), 4, "{:?}", person.asked());
}

/// Has each `ioctl` of the server's newest thread that judges fail after some, by which it takes notifications and answers them.
fn break_the_door(server: u32) -> Option<Child> {
    let tasks = std::fs::read_dir(format!("/proc/{server}/task")).expect("it runs").flatten();
    let name =
        |task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    let number =
        |task: &std::fs::DirEntry| task.file_name().to_string_lossy().parse::<i32>().unwrap_or_default();
    let threads = tasks.into_iter().filter(|task| name(task) == "kernel-door\n");
    let thread = threads.max_by_key(number).expect("a thread that judges");
    let mut breaker = Command::new("strace")
        .args(["-e", "trace=ioctl", "-e", "inject=ioctl:error=EIO:when=40+", "-o", "/dev/null", "-p"])
        .arg(thread.file_name())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut said = String::new();
    BufReader::new(breaker.stderr.take().expect("a pipe")).read_line(&mut said).expect("a line");
    assert!(said.contains("attached"), "{said}");
    Some(breaker)
}

#[test]
fn when_nobody_hears_what_is_reported_nothing_runs_and_the_session_ends() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start_with(&world, DOOR);
    server.initialize();
    let mut run = |command: &str| {
        let arguments = json!({"command": command, "workdir": world.workdir(), "login": false});
        let answer = server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
        (answer["result"]["structuredContent"].clone(), server.pid())
    };
    // One call keeps its thread; another leaves one that the next call takes.
    run("sleep 7654 > /dev/null 2>&1 & echo");
    let (_, pid) = run("/bin/echo");
    let Some(mut breaker) = break_the_door(pid) else {
        eprintln!("skipped: there is no strace");
        return;
    };
    // Two at once, so that another one comes where an answer is lost.
    let (broken, _) = run("(while :; do /bin/echo one; done) & while :; do /bin/echo two; done");
    breaker.kill().expect("it runs");
    breaker.wait().expect("it ends");
    assert!(broken["output"].as_str().is_some_and(|output| output.contains("two\n")), "{broken}");
    assert_eq!(broken["timed_out"], false, "{broken}");
    let is_left = || {
        let listed = Command::new("pgrep").args(["-f", "^sleep 7654"]).output().expect("pgrep");
        !listed.stdout.is_empty()
    };
    eventually::until("the session has ended", || !is_left());
    let (again, _) = run("/bin/echo anew");
    assert_eq!(again["output"], "anew\n", "{again}");
}

#[tokio::test]
async fn a_rule_for_a_program_holds_when_another_runs_it() {
    const WRAPPERS: [&str; 5] = ["timeout 5", "env X=1", "nice", "nohup", "stdbuf -o0"];
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    for wrapper in WRAPPERS {
        let ran = client.run(&format!("{wrapper} id 2>&1")).await;
        assert_eq!(decided(ran.json()), [("id".into(), "escalated".into())], "{wrapper}: {ran:?}");
    }
    // The wrapper's door sees only what the shell starts: it stays inside, and that is said.
    let client = Client::start_with(&world, &Person::absent(), &["--door", "wrapper"]).await;
    for wrapper in WRAPPERS {
        let ran = client.run(&format!("{wrapper} id 2>&1")).await;
        let made = ran.json()["decisions"].clone();
        assert_eq!(made[0]["decision"], "ran_inside", "{wrapper}: {ran:?}");
        assert!(made[0]["why_not_escalated"].to_string().contains("only the kernel's door sees"), "{made}");
    }
}
