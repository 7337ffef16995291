//! Clients that call, kill, vanish, read slowly, or say half of something, for as long as `LOAD_SECONDS` says.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use end_to_end_tests::World;
use end_to_end_tests::holdings::Holdings;
use end_to_end_tests::http::{LEGACY, MODERN, Site, Visitor, modern_call};
use serde_json::json;

use super::report::Report;

/// When nothing else is said.
const SECONDS: u64 = 120;

const PRINCIPALS: usize = 8;

/// Outputs that the server keeps for each principal; it has as many after the warm-up as it ever has.
const KEPT_OUTPUTS: usize = 256;

/// What does not fit into an answer.
const LONG: &str = "head -c 100000 /dev/zero";

/// What has been done by whom.
#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    calls: AtomicU64,
    lost: AtomicU64,
    killed: AtomicU64,
    vanished: AtomicU64,
    slow: AtomicU64,
    half: AtomicU64,
}

pub(super) fn measure(report: &mut Report) {
    let seconds = std::env::var("LOAD_SECONDS").map_or(SECONDS, |text| text.parse().expect("seconds"));
    report.part(&format!("Soak: {seconds} s of calls, kills, slow readers, half-open connections"));
    let world = World::with_rules("").configured("");
    let (site, visitors) = super::tenants(&world, PRINCIPALS, &[]);
    for visitor in &visitors {
        for _ in 0..KEPT_OUTPUTS {
            assert_eq!(visitor.run(LONG)["exit_code"], 0);
        }
    }
    let rest = Duration::from_secs(seconds / 5);
    period(&visitors, rest);
    let before = settled(&site, None);
    let counts = period(&visitors, Duration::from_secs(seconds).saturating_sub(rest));
    let after = settled(&site, Some(before));
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed).to_string();
    report.show("calls", &of(&counts.calls));
    report.show("calls whose command was killed by its timeout", &of(&counts.killed));
    report.show("clients that vanished in a call", &of(&counts.vanished));
    report.show("clients that did not read on", &of(&counts.slow));
    report.show("connections with half a request", &of(&counts.half));
    let lost = counts.lost.load(Ordering::Relaxed);
    report.must("lost calls", &lost.to_string(), "0", lost == 0);
    let arrow = |before: u64, after: u64| format!("{before} → {after}");
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (was, is) = (count(before.descriptors), count(after.descriptors));
    report.must("descriptors", &arrow(was, is), "16 more at most", is <= was + 16);
    let (was, is) = (count(before.threads), count(after.threads));
    report.must("threads", &arrow(was, is), "16 more at most", is <= was + 16);
    let (was, is) = (count(before.descendants), count(after.descendants));
    report.must("processes", &arrow(was, is), "no more", is <= was);
    let (was, is) = (before.resident_kib, after.resident_kib);
    report.must(
        "memory of the server, KiB",
        &arrow(was, is),
        "a tenth and 4 MiB more at most",
        is <= was + was / 10 + 4096,
    );
}

/// Has all do what they do for a time.
fn period(visitors: &[Visitor], time: Duration) -> Counts {
    let counts = Counts::default();
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for visitor in visitors {
            again(scope, &counts, || call(visitor, &counts));
            again(scope, &counts, || kill(visitor, &counts));
        }
        for (visitor, other) in visitors.iter().zip(visitors.iter().rev()).take(2) {
            again(scope, &counts, || vanish(visitor, &counts));
            again(scope, &counts, || read_slowly(other, &counts));
            again(scope, &counts, || say_half(visitor, &counts));
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        counts.stop.store(true, Ordering::Relaxed);
    });
    counts
}

fn again<'scope>(scope: &'scope Scope<'scope, '_>, counts: &'scope Counts, once: impl Fn() + Send + 'scope) {
    scope.spawn(move || {
        while !counts.stop.load(Ordering::Relaxed) {
            once();
        }
    });
}

fn more(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::Relaxed)
}

/// Mostly short calls; some print much.
fn call(visitor: &Visitor, counts: &Counts) {
    let command = if more(&counts.calls) % 10 == 3 { LONG } else { "echo $$ | cat" };
    let arguments = json!({"command": command, "login": false, "timeout_ms": 300_000});
    let mut answer = visitor.call("shell", &arguments);
    let ran = answer.status == 200 && answer.result()["structuredContent"]["exit_code"] == 0;
    counts.lost.fetch_add(u64::from(!ran), Ordering::Relaxed);
}

/// A command that is killed with all that it has started.
fn kill(visitor: &Visitor, counts: &Counts) {
    more(&counts.killed);
    let command = "(setsid sleep 1000 &) ; sleep 1000";
    let mut answer = visitor.call("shell", &json!({"command": command, "login": false, "timeout_ms": 100}));
    let timed_out = answer.status == 200 && answer.result()["structuredContent"]["timed_out"] == true;
    counts.lost.fetch_add(u64::from(!timed_out), Ordering::Relaxed);
}

fn head(visitor: &Visitor, length: usize) -> String {
    let own: String = visitor.headers().iter().map(|header| format!("{header}\r\n")).collect();
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\n{own}Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
         MCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: shell\r\nContent-Length: {length}\r\n\r\n",
        visitor.path(),
        visitor.host()
    )
}

/// A client whose connection breaks while its command runs.
fn vanish(visitor: &Visitor, counts: &Counts) {
    more(&counts.vanished);
    let body = modern_call("shell", &json!({"command": "sleep 1000", "login": false})).to_string();
    let mut connection = visitor.connect();
    let _ = connection.write_all(format!("{}{body}", head(visitor, body.len())).as_bytes());
    std::thread::sleep(Duration::from_millis(50));
}

/// A session's stream, of which nothing is read after its beginning, while its calls answer.
fn read_slowly(visitor: &Visitor, counts: &Counts) {
    more(&counts.slow);
    let session = visitor.begin(json!({}));
    let mut connection = visitor.connect();
    let own: String = visitor.headers().iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\n{own}Accept: text/event-stream\r\nMCP-Protocol-Version: {LEGACY}\r\nMcp-Session-Id: {session}\r\n\r\n",
        visitor.path(),
        visitor.host()
    );
    let _ = connection.write_all(request.as_bytes());
    let _ = connection.read(&mut [0; 16]);
    for id in 1..4 {
        let mut answer = visitor.call_in(&session, id, "shell", &json!({"command": LONG, "login": false}));
        let ran = answer.status == 200 && answer.result()["structuredContent"]["exit_code"] == 0;
        counts.lost.fetch_add(u64::from(!ran), Ordering::Relaxed);
    }
    // What is kept for sessions that nobody ends is bounded by their number, which would not be reached here.
    let _ = visitor.send(
        "DELETE",
        &[format!("MCP-Protocol-Version: {LEGACY}"), format!("Mcp-Session-Id: {session}")],
        "",
    );
}

/// Half a head, or half a body.
fn say_half(visitor: &Visitor, counts: &Counts) {
    let number = more(&counts.half);
    let mut connection = visitor.connect();
    let head = head(visitor, 1000);
    let half = if number & 1 == 0 {
        head.get(..40).unwrap_or_default().to_owned()
    } else {
        format!("{head}{{\"jsonrpc\"")
    };
    let _ = connection.write_all(half.as_bytes());
    std::thread::sleep(Duration::from_millis(100));
}

/// What is held once nothing happens any more. Connections that were left open end by themselves.
fn settled(site: &Site, before: Option<Holdings>) -> Holdings {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut last = Holdings::of(site.id());
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = Holdings::of(site.id());
        let is_flat = before.is_none_or(|before| {
            now.descendants <= before.descendants && now.descriptors <= before.descriptors
        });
        if (now.descendants == last.descendants && now.descriptors == last.descriptors && is_flat)
            || Instant::now() > deadline
        {
            return now;
        }
        last = now;
    }
}
