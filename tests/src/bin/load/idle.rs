//! Sessions in which nothing happens.

use end_to_end_tests::World;
use end_to_end_tests::holdings::Holdings;
use end_to_end_tests::http::{LEGACY, Site};
use serde_json::json;

use super::report::Report;

/// Sessions, each with an open stream.
const SESSIONS: usize = 1000;

/// What the server may hold then, in MB.
const MOST: u64 = 200;

pub(super) fn measure(report: &mut Report) {
    report.part("1,000 idle sessions, each with an open stream");
    let world = World::with_rules("").configured("");
    let site = Site::start(&world, &["--http", super::ANY]);
    let visitor = site.visitor();
    assert_eq!(visitor.run("true")["exit_code"], 0);
    let before = Holdings::of(site.id());
    let streams: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let session = visitor.begin(json!({}));
            let headers = [
                "Accept: text/event-stream".to_owned(),
                format!("MCP-Protocol-Version: {LEGACY}"),
                format!("Mcp-Session-Id: {session}"),
            ];
            let stream = visitor.get(&headers);
            assert_eq!(stream.status, 200, "{stream:?}");
            (session, stream)
        })
        .collect();
    let after = Holdings::of(site.id());
    let megabytes = after.resident_kib * 1024 / 1_000_000;
    report.must("memory of the server", &format!("{megabytes} MB"), "200 MB at most", megabytes <= MOST);
    report.show("of it for a session", &format!("{} KiB", (after.resident_kib - before.resident_kib) / 1000));
    let mut lost = 0;
    for (session, _) in streams.iter().step_by(100) {
        let mut answer = visitor.call_in(session, 1, "shell", &json!({"command": "true", "login": false}));
        lost += usize::from(answer.status != 200 || answer.result()["structuredContent"]["exit_code"] != 0);
    }
    report.must("lost calls in ten of them", &lost.to_string(), "0", lost == 0);
}
