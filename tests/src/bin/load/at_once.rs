//! Many principals with some calls each, all at once.

use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use end_to_end_tests::World;
use end_to_end_tests::holdings::Holdings;
use end_to_end_tests::http::Visitor;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::report::Report;

const PRINCIPALS: usize = 200;
const CALLS: usize = 5;

/// A thread of a client needs little.
const STACK: usize = 256 * 1024;

/// How long they may take to run all.
const TOGETHER: Duration = Duration::from_secs(120);

/// Descriptors that the server needs for so many.
const DESCRIPTORS: u64 = 65_536;

/// Commands that are seen to run at the same time.
const RUNNING: usize = 256;

pub(super) fn measure(report: &mut Report) {
    report.part("200 principals, 5 calls of `true` each, at once");
    let limit = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    if getrlimit(Resource::Nofile).maximum.is_some_and(|most| most < DESCRIPTORS)
        && setrlimit(Resource::Nofile, limit).is_err()
    {
        report.show("hard limit of descriptors", "below 65536: fewer sandboxes at a time than principals");
    }
    let world = World::with_rules("").configured("");
    let (site, visitors) = super::tenants(&world, PRINCIPALS, &[]);
    // Sandboxes are made in the first round.
    for round in ["first round", "second round"] {
        let times = round_of(&visitors);
        let lost = times.iter().flatten().filter(|time| time.is_none()).count();
        report.must(&format!("{round}: lost calls"), &lost.to_string(), "0", lost == 0);
        let means: Vec<f64> = times.iter().map(|own| mean(own)).collect();
        let fairness =
            means.iter().copied().fold(0.0, f64::max) / means.iter().copied().fold(f64::MAX, f64::min);
        let mut all: Vec<f64> =
            times.into_iter().flatten().flatten().map(|time| time.as_secs_f64()).collect();
        all.sort_by(f64::total_cmp);
        let at = |part: usize| all.get(all.len() * part / 100).copied().unwrap_or(f64::NAN);
        let tail = at(99) / at(50);
        report.show(&format!("{round}: median, p99"), &format!("{:.2} s, {:.2} s", at(50), at(99)));
        report.aims(
            &format!("{round}: slowest principal's mean over fastest's"),
            &format!("{fairness:.2}"),
            "2 at most",
            fairness <= 2.0,
        );
        report.aims(&format!("{round}: p99 over median"), &format!("{tail:.2}"), "5 at most", tail <= 5.0);
    }
    let held = Holdings::of(site.id());
    report.show("held then", &format!("{held:?}"));
    together(report);
}

/// How long each call took, by principal; `None`: it was lost.
fn round_of(visitors: &[Visitor]) -> Vec<Vec<Option<Duration>>> {
    let start = Arc::new(Barrier::new(visitors.len() * CALLS));
    let calling: Vec<Vec<JoinHandle<Option<Duration>>>> = visitors
        .iter()
        .map(|visitor| (0..CALLS).map(|_| calls("true", visitor.clone(), Arc::clone(&start))).collect())
        .collect();
    calling.into_iter().map(|own| own.into_iter().map(|call| call.join().ok().flatten()).collect()).collect()
}

fn calls(command: &'static str, visitor: Visitor, start: Arc<Barrier>) -> JoinHandle<Option<Duration>> {
    let thread = std::thread::Builder::new().stack_size(STACK);
    let call = move || {
        start.wait();
        let begin = Instant::now();
        let mut answer =
            visitor.call("shell", &json!({"command": command, "login": false, "timeout_ms": 300_000}));
        let result = (answer.status == 200).then(|| answer.result());
        let ran = result.is_some_and(|result| result["structuredContent"]["exit_code"] == 0);
        ran.then(|| begin.elapsed())
    };
    thread.spawn(call).expect("a thread")
}

fn mean(times: &[Option<Duration>]) -> f64 {
    let all: Vec<f64> = times.iter().flatten().map(Duration::as_secs_f64).collect();
    let count = u32::try_from(all.len()).map_or(f64::NAN, f64::from);
    all.iter().sum::<f64>() / count
}

/// Commands that end only when all of them run.
fn together(report: &mut Report) {
    let world = World::with_rules("").configured("");
    let (site, visitors) = super::tenants(&world, RUNNING, &[]);
    let start = Arc::new(Barrier::new(RUNNING));
    let waiting: Vec<_> =
        visitors.iter().map(|visitor| calls("sleep 300", visitor.clone(), Arc::clone(&start))).collect();
    let mut most = 0;
    let begin = Instant::now();
    while most < RUNNING && begin.elapsed() < TOGETHER {
        most = most.max(running(&visitors[0]));
        std::thread::sleep(Duration::from_millis(100));
    }
    report.must("256 principals: commands that ran at a time", &most.to_string(), "256", most == RUNNING);
    drop(site);
    for call in waiting {
        let _ = call.join();
    }
}

/// How many commands run, as the server's metrics say.
fn running(admin: &Visitor) -> usize {
    let text = admin.at("/metrics").get(&[]).text();
    let line = text
        .lines()
        .find(|line| !line.starts_with('#') && line.contains("calls_running "))
        .unwrap_or_default();
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
