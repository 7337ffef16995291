//! Many calls: what is left behind.

use end_to_end_tests::World;
use end_to_end_tests::holdings::Holdings;
use end_to_end_tests::http::Site;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::eventually;
use serde_json::json;

/// Calls when `SOAK_CALLS` does not say how many; `make soak` says 10,000.
const CALLS: u64 = 300;

/// Calls after which the server is in its steady state.
const WARM_UP: u64 = 100;

/// Outputs that the server keeps, with a file each.
const KEPT_OUTPUTS: u64 = 256;

/// A command whose output does not fit into an answer.
const LONG: &str = "head -c 100000 /dev/zero";

#[test]
fn soak_many_calls_leave_nothing_behind() {
    let calls = std::env::var("SOAK_CALLS").map_or(CALLS, |calls| calls.parse().expect("a number"));
    for arguments in [&["--sandbox", "danger-full-access"][..], &[]] {
        let (before, after) = soak(arguments, calls);
        println!("{arguments:?}, after {WARM_UP} calls: {before:?}\nafter {calls} calls: {after:?}");
    }
}

#[test]
fn a_principals_sandbox_takes_few_descriptors() {
    /// Most of a server's limit, divided by the commands that it runs at once.
    const MOST: usize = 48;
    const PRINCIPALS: usize = 8;
    let world = World::with_rules("");
    let tokens: String =
        (0..=PRINCIPALS).map(|number| format!("p{number} token-of-principal-{number}\n")).collect();
    let file = world.home().join("tokens");
    std::fs::write(&file, tokens).expect("written");
    let site = Site::start(&world, &["--http", "127.0.0.1:0", "--token-file", file.to_str().expect("UTF-8")]);
    let run = |number: usize| {
        let visitor = site.visitor().saying(&format!("Authorization: Bearer token-of-principal-{number}"));
        assert_eq!(visitor.run("true")["exit_code"], 0);
    };
    run(0);
    let before = Holdings::of(site.id()).descriptors;
    (1..=PRINCIPALS).for_each(run);
    let held = Holdings::of(site.id()).descriptors - before;
    println!("{} descriptors for an idle sandbox", held / PRINCIPALS);
    assert!(held <= MOST * PRINCIPALS, "{held} descriptors for {PRINCIPALS} sandboxes");
}

/// Calls so often, and returns what the server held near the beginning and at the end.
fn soak(arguments: &[&str], calls: u64) -> (Holdings, Holdings) {
    let world = World::with_rules("prefix_rule(pattern=[\"env\"], decision=\"allow\")\n").configured("");
    let mut server = Lines::start_with(&world, arguments);
    server.initialize();
    for number in 0..WARM_UP {
        one(&mut server, &world, number);
    }
    for _ in 0..KEPT_OUTPUTS {
        call(&mut server, &world, LONG, 300_000);
    }
    let before = Holdings::of(server.pid());
    for number in WARM_UP..calls {
        one(&mut server, &world, number);
    }
    let after = holdings_when_settled(&server, before.descendants);
    assert!(
        after.resident_kib <= before.resident_kib + before.resident_kib / 10 + 1024,
        "memory: {before:?}, then {after:?}"
    );
    // A thread for blocking work, and what it holds, may come and go.
    assert!(after.descriptors <= before.descriptors + 8, "descriptors: {before:?}, then {after:?}");
    assert!(after.threads <= before.threads + 8, "threads: {before:?}, then {after:?}");
    assert!(after.descendants <= before.descendants, "processes: {before:?}, then {after:?}");
    (before, after)
}

/// One call: mostly small ones; some print, escalate, fail, are cut off, or are too long for one answer.
fn one(server: &mut Lines, world: &World, number: u64) {
    let (command, timeout) = match number % 20 {
        3 => ("/bin/echo printed; exit 3", 300_000),
        7 => ("env > /dev/null", 300_000),
        11 => (LONG, 300_000),
        13 => ("no-such-program", 300_000),
        17 => ("sleep 1000", 1),
        _ => ("echo $$ | cat", 300_000),
    };
    call(server, world, command, timeout);
}

fn call(server: &mut Lines, world: &World, command: &str, timeout: u64) {
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": timeout});
    let answer = server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

/// What watches over a call ends a little after the call is answered.
fn holdings_when_settled(server: &Lines, descendants: usize) -> Holdings {
    eventually(|| {
        let holdings = Holdings::of(server.pid());
        if holdings.descendants <= descendants {
            Ok(holdings)
        } else {
            Err(format!("not settled: {holdings:?}"))
        }
    })
}
