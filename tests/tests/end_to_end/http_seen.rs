//! What a server behind HTTP tells of itself: metrics, names of requests, lines for programs.

use std::process::Stdio;

use end_to_end_tests::World;
use end_to_end_tests::http::{LEGACY, MODERN, Site, modern_call};
use end_to_end_tests::waiting::eventually;
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// One is refused by rules, about another one a person is asked.
const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"forbidden\", justification=\"makes files\")\n\
                     prefix_rule(pattern=[\"mkdir\"], decision=\"prompt\", justification=\"makes folders\")\n";

fn shell(command: &str) -> Value {
    json!({"command": command, "login": false})
}

/// The value of a metric; 0 where there is none.
fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn what_happens_is_counted_and_nothing_is_said_of_whom_or_what() {
    let world = World::with_rules(RULES);
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    assert_eq!(visitor.run("echo hello")["exit_code"], 0);
    assert_eq!(visitor.run("exit 3")["exit_code"], 3);
    let _ = visitor.run("touch secret-name");
    let mut asked = visitor.call("shell", &shell("mkdir folder"));
    assert_eq!(asked.result()["resultType"], "input_required");
    let seen = visitor.at("/metrics");
    let counted = || {
        let mut answer = seen.get(&[]);
        assert!(
            answer.status == 200 && answer.headers["content-type"].starts_with("text/plain; version=0.0.4")
        );
        answer.text()
    };
    // What was judged is counted as it is put on record.
    let text = eventually(|| {
        let text = counted();
        if value(&text, "shell_tool_questions_open") == 1.0 { Ok(text) } else { Err(text) }
    });
    for (metric, least) in [
        ("shell_tool_calls_total{status=\"completed\"}", 1.0),
        ("shell_tool_calls_total{status=\"failed\"}", 1.0),
        ("shell_tool_call_duration_seconds_count", 3.0),
        ("shell_tool_call_output_bytes_total", 6.0),
        ("shell_tool_execs_judged_total{decision=\"deny\"}", 1.0),
        ("shell_tool_denials_total{by=\"rules\"}", 1.0),
        ("shell_tool_sandboxes", 1.0),
        ("shell_tool_principals", 1.0),
        ("shell_tool_calls_running", 1.0),
        ("shell_tool_http_requests_total{code=\"200\"}", 4.0),
    ] {
        assert!(value(&text, metric) >= least, "{metric} in\n{text}");
    }
    for said in ["secret-name", "touch", "mkdir", visitor.path()] {
        assert!(!text.contains(said), "{said} is in\n{text}");
    }
}

#[test]
fn metrics_are_for_who_looks_after_the_server() {
    let world = World::with_rules("");
    let tokens = world.home().join("tokens");
    std::fs::write(&tokens, "ann token-of-ann-0123456789\nops token-of-ops-0123456789 shell:admin\n")
        .expect("written");
    let site = Site::start(&world, &["--http", ANY, "--token-file", tokens.to_str().expect("text")]);
    let seen = site.visitor().at("/metrics");
    let bearing = |name: &str| seen.saying(&format!("Authorization: Bearer token-of-{name}-0123456789"));
    assert_eq!(bearing("ops").get(&[]).status, 200);
    assert_eq!(bearing("ann").get(&[]).status, 403);
    assert_eq!(seen.get(&[]).status, 401);
}

#[test]
fn a_request_has_one_name_in_the_answer_the_log_and_the_record() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"forbidden\")\n");
    let log = world.home().join("log");
    let output = std::fs::File::create(&log).expect("a log");
    let mut command = world.server(&["serve", "--http", ANY, "--log-format", "json"]);
    command.env_remove("RUST_LOG").stderr(Stdio::from(output));
    let site = Site::of(command);
    let visitor = site.visitor();
    let mut message = modern_call("shell", &shell("touch x"));
    message["params"]["_meta"]["traceparent"] = TRACE.into();
    let named = visitor.saying("X-Request-Id: my-request-7");
    let mut answer = named.post(MODERN, None, &message);
    assert_eq!(answer.headers["x-request-id"], "my-request-7");
    let _ = answer.result();
    // One that could deceive is replaced, and one that is missing is made.
    for visitor in [visitor.saying("X-Request-Id: a b\"c"), visitor.clone()] {
        let made = visitor.post(LEGACY, None, &json!({})).headers["x-request-id"].clone();
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    }
    let lines = eventually(|| {
        let text = std::fs::read_to_string(&log).expect("a log");
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let is_ours = |line: &&Value| line.to_string().contains("my-request-7");
        if lines.iter().filter(is_ours).count() >= 2 { Ok(lines) } else { Err(text) }
    });
    let answered =
        lines.iter().find(|line| line["message"] == "answered" && line["request"] == "my-request-7");
    let answered = answered.expect("the request's line");
    assert_eq!((&answered["path"], &answered["status"]), (&json!("/mcp/{secret}"), &json!(200)));
    let call = lines.iter().find(|line| line["message"] == "a call was answered").expect("the call's line");
    assert_eq!((&call["span"]["request"], &call["span"]["trace"]), (&json!("my-request-7"), &json!(TRACE)));
    let secret = visitor.path().rsplit('/').next().expect("a secret");
    assert!(!lines.iter().any(|line| line.to_string().contains(secret)), "{lines:?}");
    let shown = eventually(|| {
        let output = world.server(&["audit", "show"]).stdin(Stdio::null()).output().expect("run");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        if shown.contains("my-request-7") { Ok(shown) } else { Err(shown) }
    });
    assert!(shown.contains(TRACE), "{shown}");
}
