//! The kernel's door, raced: what runs is what was judged, whoever rewrites the arguments of an `execve` while it is
//! judged, and nobody honest is ended.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};

/// A world in which `touch evil` is forbidden under every name, and so are a script that it interprets, and all of it in one folder.
fn world() -> World {
    let world = World::with_rules("");
    let script = world.workdir().join("script");
    let there = world.workdir().join("there");
    let rule = format!(
        "prefix_rule([\"touch\", [\"evil\", \"{}\"]], decision=\"forbidden\")\n\
         prefix_rule([\"touch\"], decision=\"forbidden\", cwd=[\"{}\"])\n",
        script.display(),
        there.display()
    );
    std::fs::write(world.rules_file(), rule).expect("rules");
    world
}

/// Tries of each race. Set the variable for more.
fn tries() -> u32 {
    std::env::var("SHELL_TOOL_MCP_RACES").ok().and_then(|tries| tries.parse().ok()).unwrap_or(200)
}

/// No race takes longer, in as many tries as somebody may want.
const LONGEST: Duration = Duration::from_secs(1800);

/// What all races have in common: `race(before, execute)` forks a process for each try.
const COMMON: &str = r#"
import collections, ctypes, mmap, os, signal, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
shared = mmap.mmap(-1, 4096)
base = ctypes.addressof(ctypes.c_char.from_buffer(shared))
def put(offset, text): shared[offset:offset + len(text) + 1] = text + b"\0"
def argv(*offsets): return (ctypes.c_void_p * (len(offsets) + 1))(*[base + at for at in offsets], None)
environment = (ctypes.c_void_p * 1)(None)
put(0, b"/usr/bin/touch"); put(100, b"touch"); put(200, b"good"); put(300, b"/usr/bin/true")
def flips(one, other):
    pid = os.fork()
    if pid: return pid
    while True: one(); other()
def race(execute, flipping=None):
    ends = collections.Counter()
    for _ in range(int(sys.argv[1])):
        pid = os.fork()
        if pid == 0:
            try: execute()
            finally: os._exit(77)
        ends[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])] += 1
    if flipping: os.kill(flipping, signal.SIGKILL)
    print("evil" if os.path.exists("evil") else "nobody won", dict(ends), file=sys.stderr)
    # 0: it ran; 1: it was refused; -9: it was ended, because it had become another; 77 and 126: it was being written.
    unknown = set(ends) - {0, 1, -9, 77, 126}
    print("evil won" if os.path.exists("evil") else "nobody won", "unknown ends %s" % unknown if unknown else "")
"#;

const RACES: &[(&str, &str)] = &[
    (
        "shared memory",
        r#"
flipping = flips(lambda: put(200, b"evil"), lambda: put(200, b"good"))
race(lambda: libc.execve(ctypes.c_void_p(base), argv(100, 200), environment), flipping)
"#,
    ),
    (
        "the path in shared memory",
        r#"
put(200, b"evil"); put(300, b"name")
flipping = flips(lambda: put(0, b"/usr/bin/touch"), lambda: put(0, b"/usr/bin//true"))
race(lambda: libc.execve(ctypes.c_void_p(base), argv(300, 200), environment), flipping)
"#,
    ),
    (
        "a thread",
        r#"
def execute():
    def flip():
        while True: shared[200:204] = b"evil"; shared[200:204] = b"good"
    threading.Thread(target=flip, daemon=True).start()
    libc.execve(ctypes.c_void_p(base), argv(100, 200), environment)
race(execute)
"#,
    ),
    (
        "a link",
        r#"
os.symlink("/usr/bin/true", "a"); os.symlink("/usr/bin/touch", "b")
def swap(target):
    try: os.symlink(target, "new"); os.rename("new", "program")
    except FileExistsError: os.unlink("new")
swap("/usr/bin/true")
flipping = flips(lambda: swap("/usr/bin/touch"), lambda: swap("/usr/bin/true"))
race(lambda: os.execv("./program", ["x", "evil"]), flipping)
"#,
    ),
    (
        "a first line",
        r##"
open("script", "w").write("#!/usr/bin/true\n"); os.chmod("script", 0o755)
def write(text):
    try: file = os.open("script", os.O_WRONLY); os.write(file, text); os.close(file)
    except OSError: pass # It is being executed.
flipping = flips(lambda: write(b"#!/usr/bin/touch\n"), lambda: write(b"#!/usr/bin/true \n"))
race(lambda: os.execv(os.path.abspath("script"), ["x", "evil"]), flipping)
"##,
    ),
    (
        "exchanged names",
        r#"
os.symlink("/usr/bin/true", "program"); os.symlink("/usr/bin/touch", "other")
here = os.open(".", os.O_RDONLY)
exchange = lambda: libc.renameat2(here, b"program", here, b"other", 2)
flipping = flips(exchange, exchange)
race(lambda: os.execv("./program", ["x", "evil"]), flipping)
"#,
    ),
    (
        "an interpreter",
        r##"
open("script", "w").write("#!%s/program\n" % os.getcwd()); os.chmod("script", 0o755)
os.symlink("/usr/bin/true", "program")
def swap(target):
    try: os.symlink(target, "new"); os.rename("new", "program")
    except FileExistsError: os.unlink("new")
flipping = flips(lambda: swap("/usr/bin/touch"), lambda: swap("/usr/bin/true"))
race(lambda: os.execv(os.path.abspath("script"), ["x", "evil"]), flipping)
"##,
    ),
    (
        "a descriptor",
        r#"
one, other = os.open("/usr/bin/true", os.O_RDONLY), os.open("/usr/bin/touch", os.O_RDONLY)
def execute():
    def flip():
        while True: os.dup2(one, 9); os.dup2(other, 9)
    threading.Thread(target=flip, daemon=True).start()
    os.execv("/proc/self/fd/9", ["x", "evil"])
race(execute)
"#,
    ),
    (
        "a folder",
        r#"
os.mkdir("there"); os.mkdir("here")
def execute():
    os.chdir("here")
    def move():
        while True: os.chdir("../there"); os.chdir("../here")
    threading.Thread(target=move, daemon=True).start()
    libc.execve(ctypes.c_void_p(base), argv(100, 200), environment)
put(200, b"./it")
race(execute)
print("evil won" if os.path.exists("there/it") else "nobody won", "")
"#,
    ),
    (
        "threads that all execute",
        r#"
def execute():
    for _ in range(4):
        threading.Thread(target=lambda: libc.execve(ctypes.c_void_p(base), argv(100, 200), environment), daemon=True).start()
    libc.execve(ctypes.c_void_p(base), argv(100, 200), environment)
race(execute)
"#,
    ),
];

/// Races of `programs/execs.c`: whoever shares the memory rewrites the argument, or whoever may write it.
const IN_MEMORY: [&str; 4] = ["rewriting-sibling", "rewriting-parent", "rewriting-vfork", "writing-process"];

/// Without a debugger allowed, and with one: who is not traced is proved all the same.
#[tokio::test]
async fn in_no_memory_that_others_write_is_anything_else_than_was_judged() {
    for configured in ["", "[shell_tool]\ndebug = true\n"] {
        let world = world().configured(configured);
        super::kernel_door_games::build(&world);
        let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
        for race in IN_MEMORY {
            let command = format!("./execs {race} {} /usr/bin/touch good 2>&1 | tail -1; ls evil", tries());
            let outcome = client.run_within(&command, LONGEST).await;
            let said = outcome.ran().1;
            if std::env::var_os("SHELL_TOOL_MCP_RACES").is_some() {
                eprintln!("{race}: {said}");
            }
            assert!(said.starts_with(&format!("{race}:")), "{outcome:?}");
            assert!(!world.workdir().join("evil").exists(), "{race}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn in_no_race_does_anything_run_that_was_not_judged() {
    let world = world();
    let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
    for (name, race) in RACES {
        std::fs::write(world.workdir().join("race.py"), format!("{COMMON}{race}")).expect("written");
        let left = "rm -r evil good program other script a b new here there 2> /dev/null";
        let command = format!("python3 race.py {} 2>&1 | tail -2; {left}; true", tries());
        let outcome = client.run_within(&command, LONGEST).await;
        let said = outcome.ran().1;
        if std::env::var_os("SHELL_TOOL_MCP_RACES").is_some() {
            eprintln!("{name}: {said}");
        }
        assert_eq!(said.lines().last(), Some("nobody won "), "{name}: {outcome:?}");
    }
}

/// Honest programs of many kinds at once, with signals, children and failures among them.
#[tokio::test]
async fn nobody_honest_is_ended() {
    let world = world();
    let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
    let script = r#"
        printf 'all: %s\n%s:\n\t@sh -c "true && /bin/echo $@ > $@"\n' "$(seq -s ' ' 200)" "$(seq -s ' ' 200)" > Makefile
        make -s -j8 || echo make failed
        seq 200 | xargs -P 8 -n 1 sh -c 'test -e $0 && exec cat $0' | sort -n | md5sum
        python3 -c '
import subprocess, threading
def work():
    for number in range(30):
        assert subprocess.run(["/bin/echo", str(number)], capture_output=True).stdout == b"%d\n" % number
        try: subprocess.run(["no such program"])
        except FileNotFoundError: pass
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print("threads done")'
        for n in 1 2 3 4 5 6 7 8 9 10; do (trap : USR1; kill -USR1 $BASHPID; exec /bin/echo signal) & done | sort | uniq -c
        wait; echo over"#;
    let outcome = client.run_within(script, Duration::from_secs(100)).await;
    let lines: Vec<&str> = outcome.ran().1.lines().map(str::trim).collect();
    assert_eq!(lines.get(1..), Some(&["threads done", "10 signal", "over"][..]), "{outcome:?}");
}

/// Whole builds, in which thousands of programs are executed at once.
#[tokio::test]
async fn honest_builds_end_as_without_a_door() {
    const MAKE: &str = "mkdir c; cd c; for n in $(seq 100); do echo \"int f$n(void) { return $n; }\" > $n.c; done; \
        printf 'all: %s\\n\\t@ar rcs all.a $^\\n' \"$(seq -s ' ' -f '%g.o' 100)\" > Makefile; make -s -j2 CFLAGS=-O0; ar t all.a | wc -l";
    const CARGO: &str = "mkdir -p r/src; cd r; printf '[package]\\nname = \"r\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\nbuild = \"build.rs\"\\n' > Cargo.toml; \
        echo 'fn main() { println!(\"cargo:rustc-env=BUILT=yes\"); }' > build.rs; echo 'fn main() { println!(\"built: {}\", env!(\"BUILT\")); }' > src/main.rs; \
        CARGO_HOME=$PWD/home CARGO_TARGET_DIR=$PWD/target PATH=\"$TOOLCHAIN:$PATH\" cargo run -q --offline";
    const NPM: &str = "mkdir n; cd n; for n in 1 2 3 4 5 6; do mkdir p$n; \
        echo \"{\\\"name\\\":\\\"p$n\\\",\\\"version\\\":\\\"1.0.0\\\",\\\"scripts\\\":{\\\"postinstall\\\":\\\"node -e 0 && sh -c 'echo $n >> ../log'\\\"}}\" > p$n/package.json; done; \
        echo '{\"name\":\"n\",\"version\":\"1.0.0\",\"dependencies\":{\"p1\":\"file:p1\",\"p2\":\"file:p2\",\"p3\":\"file:p3\",\"p4\":\"file:p4\",\"p5\":\"file:p5\",\"p6\":\"file:p6\"}}' > package.json; \
        npm install --offline --silent --cache $PWD/cache > /dev/null 2>&1; rm -rf node_modules log; npm ci --offline --silent --cache $PWD/cache > /dev/null 2>&1; sort log | tr '\\n' ' '";
    let toolchain = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc");
    let toolchain = String::from_utf8(toolchain.stdout).expect("UTF-8");
    let world = world();
    let person = Person::answering([end_to_end_tests::client::Answer::Accept; 8]);
    let client = Client::start_with(&world, &person, &["--door", "kernel"]).await;
    for (needs, script, says) in
        [("cc", MAKE, "100"), ("rustc", CARGO, "built: yes"), ("npm", NPM, "1 2 3 4 5 6 ")]
    {
        if needs == "npm" && !end_to_end_tests::machine::is_installed("npm") {
            continue;
        }
        let script = format!("export TOOLCHAIN={}/bin; {script}", toolchain.trim());
        let outcome = client.run_within(&script, Duration::from_secs(300)).await;
        assert_eq!(outcome.ran().1.lines().last(), Some(says), "{needs}: {outcome:?}");
        assert!(!outcome.json()["decisions"].to_string().contains("was ended"), "{needs}: {outcome:?}");
    }
}
