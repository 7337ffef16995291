//! `make load`: many clients of one server behind HTTP, at once and for long.
//!
//! Counts and ratios are printed beside their goals. It fails when a call is lost, when what a server holds grows, or when
//! one principal waits for another one; not for being slow.

#![expect(clippy::print_stdout, reason = "a table for people")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made must say so and end")]

mod at_once;
mod connection;
mod idle;
mod report;
mod soak;

use std::process::ExitCode;

use end_to_end_tests::World;
use end_to_end_tests::http::{Site, Visitor};

use report::Report;

/// Where servers listen.
const ANY: &str = "127.0.0.1:0";

/// A part of it.
type Measure = fn(&mut Report);

/// Parts that can be run alone, by their names as arguments.
const PARTS: [(&str, Measure); 4] = [
    ("idle", idle::measure),
    ("at-once", at_once::measure),
    ("connection", connection::measure),
    ("soak", soak::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    for (_, measure) in
        PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|it| it == name))
    {
        measure(&mut report);
    }
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A server for so many principals, and somebody who is each of them.
fn tenants(world: &World, count: usize, more: &[&str]) -> (Site, Vec<Visitor>) {
    let token = |number: usize| format!("token-of-principal-{number:04}");
    let scopes = |number| if number == 0 { "shell:run shell:admin" } else { "" };
    let line = |number| format!("p{number} {} {}\n", token(number), scopes(number));
    let lines: String = (0..count).map(line).collect();
    let file = world.home().join("tokens");
    std::fs::write(&file, lines).expect("a file of tokens");
    let file = file.display().to_string();
    let site = Site::start(world, &[&["--http", ANY, "--token-file", &file], more].concat());
    let bearer = |number| site.visitor().saying(&format!("Authorization: Bearer {}", token(number)));
    let visitors = (0..count).map(bearer).collect();
    (site, visitors)
}
