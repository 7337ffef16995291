//! What the kernel's door costs: in each way of executing a program, for names and connections, and for whole work. The same
//! is done in the same sandbox where nothing sees it: a Bash without the hook behind the wrapper's door.

use std::cell::RefCell;

use end_to_end_tests::lines::Lines;
use end_to_end_tests::{World, binaries, word};

use super::{call, compared_with, in_turn, milliseconds, plain_run};

/// Names that are made and removed, and connections.
const NAMES: usize = 2000;
const CONNECTIONS: usize = 1000;

/// A rule for another program: what runs inside does so because no rule says otherwise.
const RULE: &str = "prefix_rule(pattern=[\"git\", \"push\"], decision=\"allow\")\n";

/// Work, how often it is measured, and how many times as long it may take.
type Work = (&'static str, String, usize, f64);

fn execs() -> Vec<Work> {
    let targets = "$(seq -s ' ' 1000)";
    let python = "python3 -c 'import subprocess\nfor _ in range(1000): subprocess.run([\"/bin/true\"])'";
    let make = format!(
        "printf 'all: %s\\n%s:\\n\\t@/bin/true\\n' \"{targets}\" \"{targets}\" > many.mk; make -s -j2 -f many.mk"
    );
    vec![
        ("1000 × /bin/true from Bash", "for ((i = 0; i < 1000; i++)); do /bin/true; done".into(), 9, 1.1),
        ("1000 × /bin/true from xargs", "seq 1000 | xargs -n 1 /bin/true".into(), 9, 1.1),
        ("1000 × /bin/true from Python's subprocess", python.into(), 9, 1.1),
        ("1000 × /bin/true from make -j2", make, 9, 1.1),
    ]
}

fn whole() -> Vec<Work> {
    let sources = "mkdir -p c; for i in $(seq 100); do [ -e c/$i.c ] || echo \"int f$i(int a) { return a + $i; }\" > c/$i.c; done";
    let rule = "printf 'all: $(patsubst c/%%.c,o/%%.o,$(wildcard c/*.c))\\no/%%.o: c/%%.c\\n\\t@cc -O1 -c -o $@ $<\\n' > files.mk";
    let make = format!("{sources}; {rule}; rm -rf o; mkdir o; make -s -j2 -f files.mk");
    let checkout = "[ -d tree ] || { git init -q tree; cd tree; for i in $(seq 2000); do echo $i > f$i; done; git add .; \
                    git -c user.name=a -c user.email=a@b commit -qm x; cd ..; }; cd tree; rm -f f*; git checkout -q .";
    vec![
        ("make -j2 of 100 files in C", make, 3, 1.03),
        ("git checkout of 2000 files", checkout.into(), 5, 1.35),
    ]
}

/// Prints all of it.
pub(crate) fn measure() {
    let world = World::with_rules(RULE);
    let start = |world: &World, door| {
        let mut server = Lines::start_with(world, &["--door", door]);
        server.initialize();
        server
    };
    let (mut unseen, mut seen) = (start(&world, "wrapper"), start(&world, "kernel"));
    let bash = binaries().join("bash");
    println!("\n{:<58} {:>10} {:>10}  ratio (goal)", "median of each", "unseen", "judged");
    let script = world.workdir().join("work.sh");
    let command = format!("/usr/bin/env {} work.sh", word(&bash));
    for (what, work, rounds, goal) in execs().into_iter().chain(whole()) {
        std::fs::write(&script, work).expect("written");
        let (plain, measured, ratio) =
            in_turn(rounds, || call(&mut unseen, &world, &command), || call(&mut seen, &world, &command));
        compared_with(what, plain, measured, ratio, goal);
    }
    for (what, folder, goal) in [("elsewhere", "src", 10.0), ("in a held folder", ".", 50.0)] {
        let work = format!(
            "mkdir -p src; cd {folder}; python3 -c 'import os\nfor i in range({NAMES}): os.close(os.open(\"n\", os.O_CREAT | os.O_WRONLY)); os.unlink(\"n\")'"
        );
        each(
            &format!("a call that makes a name {folder}: {what}"),
            &work,
            2 * NAMES,
            goal,
            (&mut unseen, &mut seen),
            &world,
        );
    }
    let connect = format!(
        "cd src; rm -f s; python3 -c 'import socket\nserver = socket.socket(socket.AF_UNIX); server.bind(\"s\"); server.listen(8)\n\
         for i in range({CONNECTIONS}):\n one = socket.socket(socket.AF_UNIX); one.connect(\"s\"); server.accept()[0].close(); one.close()'"
    );
    each("a connection to a Unix socket", &connect, CONNECTIONS, 45.0, (&mut unseen, &mut seen), &world);

    let many: String =
        (0..10_000).map(|i| format!("prefix_rule([\"program{i}\"], decision=\"forbidden\")\n")).collect();
    let ruled = World::with_rules(&many);
    let one = World::with_rules("prefix_rule([\"program\"], decision=\"forbidden\")\n");
    let (mut few, mut full) = (start(&one, "kernel"), start(&ruled, "kernel"));
    let work = "for ((i = 0; i < 1000; i++)); do /bin/true; done";
    let (plain, measured, ratio) =
        in_turn(5, || call(&mut few, &one, work), || call(&mut full, &ruled, work));
    compared_with("1000 × /bin/true with 10,000 rules, beside 1", plain, measured, ratio, 1.0);

    let seen = RefCell::new(seen);
    let true_call = || call(&mut seen.borrow_mut(), &world, "true");
    let (plain, measured, ratio) = in_turn(200, || plain_run(&bash, "true", &world), true_call);
    compared_with("call of `true`, beside `bash -c true`", plain, measured, ratio, 1.5);
    let mut calls: Vec<_> = (0..300).map(|_| true_call()).collect();
    calls.sort();
    let (usual, slow) = (calls[calls.len() / 2], calls[calls.len() * 99 / 100]);
    compared_with(
        "its 99th percentile, beside its median",
        usual,
        slow,
        slow.as_secs_f64() / usual.as_secs_f64(),
        1.5,
    );
}

/// What is added to one of many calls, in microseconds.
fn each(
    what: &str,
    work: &str,
    count: usize,
    goal: f64,
    (unseen, seen): (&mut Lines, &mut Lines),
    world: &World,
) {
    let (plain, measured, _) = in_turn(5, || call(unseen, world, work), || call(seen, world, work));
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let added = (milliseconds(measured) - milliseconds(plain)) * 1e3 / count as f64;
    println!(
        "{what:<58} {:>7.2} ms {:>7.2} ms  +{added:.0} µs each (+{goal:.0})",
        milliseconds(plain),
        milliseconds(measured)
    );
}
