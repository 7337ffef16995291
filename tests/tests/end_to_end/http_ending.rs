//! How a server behind HTTP leaves: what runs ends, nothing new begins, and the next one goes on.

use std::thread;

use end_to_end_tests::World;
use end_to_end_tests::http::{MODERN, Site, modern_call};
use end_to_end_tests::waiting::{eventually, written};
use rustix::process::Signal;
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

fn shell(command: &str) -> Value {
    json!({"command": command, "login": false})
}

#[test]
fn a_server_that_leaves_ends_what_runs_and_begins_nothing() {
    let world = World::with_rules("");
    let mut site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    assert_eq!(visitor.at("/readyz").get(&[]).status, 200);
    let session = visitor.begin(json!({}));
    let command = |name: &str| format!("echo > {name}; while [ ! -e go ]; do sleep 0.05; done; echo {name}");
    let modern = {
        let (visitor, command) = (visitor.clone(), command("modern"));
        thread::spawn(move || visitor.run(&command))
    };
    let mut legacy = visitor.call_in(&session, 1, "shell", &shell(&command("legacy")));
    for begun in ["modern", "legacy"] {
        eventually(|| std::fs::metadata(world.workdir().join(begun)));
    }
    site.signal(Signal::TERM);
    eventually(|| match visitor.at("/readyz").get(&[]).status {
        503 => Ok(()),
        other => Err(format!("ready: {other}")),
    });
    assert_eq!(visitor.at("/healthz").get(&[]).status, 200, "it lives");
    let mut refused = visitor.post(MODERN, None, &modern_call("shell", &shell("touch begun-late")));
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (503, true));
    assert!(refused.text().contains("has not begun"));
    assert_eq!(visitor.call_in(&session, 2, "shell", &shell("touch begun-late")).status, 503);
    std::fs::write(world.workdir().join("go"), "").expect("written");
    assert_eq!(modern.join().expect("a result")["output"], "modern\n");
    assert_eq!(legacy.result()["structuredContent"]["output"], "legacy\n");
    assert!(site.end().success());
    assert!(!world.workdir().join("begun-late").exists());
    // The next one goes on with the session.
    let next = Site::start(&world, &["--http", ANY]);
    let result = next.visitor().call_in(&session, 3, "shell", &shell("echo on")).result();
    assert_eq!(result["structuredContent"]["output"], "on\n");
}

#[test]
fn what_runs_for_too_long_is_ended_with_the_server() {
    let world = World::with_rules("");
    let mut site = Site::start(&world, &["--http", ANY, "--drain-timeout", "0.2"]);
    let visitor = site.visitor();
    let running = thread::spawn(move || visitor.run("echo $$ > pid; sleep 1000; echo never"));
    let _ = written(&world.workdir().join("pid"));
    site.signal(Signal::TERM);
    assert!(site.end().success());
    let result = running.join().expect("a result");
    assert_eq!(result["exit_code"], 130, "{result}");
}

#[test]
fn nothing_is_left_of_a_server_that_is_told_twice() {
    let world = World::with_rules("");
    let mut site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let session = visitor.begin(json!({}));
    let _running = visitor.call_in(&session, 1, "shell", &shell("echo > begun; sleep 1000"));
    eventually(|| std::fs::metadata(world.workdir().join("begun")));
    site.signal(Signal::INT);
    eventually(|| match visitor.at("/readyz").get(&[]).status {
        503 => Ok(()),
        other => Err(format!("ready: {other}")),
    });
    site.signal(Signal::INT);
    assert!(site.end().success());
}
