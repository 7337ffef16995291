//! The audit log: what is in it, what is not, and what happens when it cannot be written.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::{Accept, Deny};
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::waiting::{PATIENCE, eventually_async};
use serde_json::{Value, json};

const RULES: &str = r#"
prefix_rule(pattern=["printenv"], decision="allow")
prefix_rule(pattern=["sh", "-c"], decision="prompt")
prefix_rule(pattern=["shutdown"], decision="forbidden")
"#;

fn newest(world: &World) -> PathBuf {
    world.codex_home().join("shell-tool-mcp/audit/decisions.jsonl")
}

/// What `audit show --json` prints, once `enough` is in it: what runs inside the sandbox is written a moment later.
async fn shown(world: &World, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    eventually_async(async || {
        let output = world.server(&["audit", "show", "--json"]).output().expect("exec-server");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        if enough(&lines) { Ok(lines) } else { Err(format!("not in the log: {text}")) }
    })
    .await
}

/// Exit code, standard output and standard error of `audit verify`.
fn verified(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["audit", "verify"], arguments].concat();
    let output = world.server(&arguments).output().expect("exec-server");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn decisions(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["event"] == "decision").collect()
}

#[tokio::test]
async fn every_decision_is_on_record_without_values_and_output() {
    let world = World::with_rules(RULES);
    let person = Person::answering([Accept, Deny]);
    let client = Client::start(&world, &person).await;
    assert_eq!(client.run("TZ=s3cret printenv TZ").await.ran(), (0, "s3cret\n"));
    assert_eq!(client.run("cat /dev/null").await.ran(), (0, ""));
    assert_eq!(client.run("sh -c 'exit 3'; echo $?").await.ran(), (0, "3\n"));
    assert_eq!(client.run("sh -c 'exit 4'; echo $?").await.ran().1.lines().last(), Some("1"));
    assert_eq!(client.run("shutdown now; :").await.ran().0, 0);

    let lines = shown(&world, |lines| decisions(lines).len() >= 5).await;
    let what: Vec<_> = decisions(&lines)
        .iter()
        .map(|line| {
            (line["call"].as_str().unwrap_or_default(), line["decision"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        what,
        [("1", "escalate"), ("2", "run"), ("3", "escalate"), ("4", "deny"), ("5", "deny")],
        "{lines:#?}"
    );
    let [printenv, cat, approved, declined, forbidden] = decisions(&lines)[..] else { panic!("five") };
    assert_eq!(printenv["argv"], json!(["printenv", "TZ"]));
    assert!(printenv["program"].as_str().expect("a path").ends_with("/printenv"));
    assert_eq!(printenv["cwd"], world.workdir().to_str().expect("UTF-8"));
    assert_eq!(printenv["rule"], format!("{}:2", world.rules_file().display()));
    assert_eq!(printenv["asked"], Value::Null);
    assert_eq!((&cat["rule"], &cat["asked"]), (&Value::Null, &Value::Null));
    assert_eq!(approved["asked"]["answer"], "once");
    assert_eq!(approved["asked"]["channel"], "client");
    assert_eq!(approved["rule"], format!("{}:3", world.rules_file().display()));
    assert_eq!(declined["asked"]["answer"], "declined");
    assert!(forbidden["reason"].as_str().expect("a reason").contains("forbidden by policy"));

    let ended: Vec<_> = lines.iter().filter(|line| line["event"] == "ended").collect();
    assert_eq!(ended.len(), 2, "{lines:#?}");
    assert_eq!((&ended[0]["call"], &ended[0]["exit_code"]), (&json!("1"), &json!(0)));
    assert_eq!((&ended[1]["call"], &ended[1]["exit_code"]), (&json!("3"), &json!(3)));

    let file = std::fs::read_to_string(newest(&world)).expect("the log");
    assert!(!file.contains("s3cret"), "{file}");
    let folder = newest(&world).parent().expect("has one").to_owned();
    for (path, mode) in [(newest(&world), 0o600), (folder, 0o700)] {
        let permissions = path.metadata().expect("there").permissions();
        assert_eq!(permissions.mode() & 0o7777, mode, "{}", path.display());
    }
    assert_eq!(verified(&world, &[]).0, 0);
}

#[tokio::test]
async fn the_log_is_shown_in_the_readers_time_and_width() {
    let world = World::with_rules(RULES);
    let client = Client::start(&world, &Person::absent()).await;
    client.run("printenv HOME > /dev/null").await;
    let lines = shown(&world, |lines| lines.iter().any(|line| line["event"] == "ended")).await;
    let show = |zone: &str, arguments: &[&str]| {
        let arguments = [&["audit", "show"], arguments].concat();
        let output = world.server(&arguments).env("TZ", zone).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let (here, there) = (show("UTC0", &[]), show("XYZ-5", &[]));
    let utc = lines[0]["time"].as_str().expect("a time").replace('T', " ");
    assert!(here.starts_with(&utc[..19]), "{here}");
    assert!(there.get(13..19) == here.get(13..19) && there.get(..13) != here.get(..13), "{there} and {here}");
    let narrow = show("UTC0", &["--since", "yesterday", "--width", "60"]);
    let too_wide = |line: &&str| line.chars().count() > 60 && line.trim_start().contains(' ');
    assert_eq!(narrow.lines().find(too_wide), None, "{narrow}");
    assert!(narrow.lines().any(|line| line.starts_with("    ")), "{narrow}");
}

#[tokio::test]
async fn an_unwritable_log_stops_escalations_but_not_commands_and_says_so() {
    let world = World::with_rules(RULES);
    let client = Client::start(&world, &Person::absent()).await;
    let escalated = "printenv HOME >/dev/null && echo ran";
    assert_eq!(client.run(escalated).await.ran(), (0, "ran\n"));

    // Nothing is on its way to the log any more, so nothing makes the folder again.
    shown(&world, |lines| lines.iter().any(|line| line["event"] == "ended")).await;
    let folder = world.codex_home().join("shell-tool-mcp/audit");
    std::fs::rename(&folder, world.workdir().join("aside")).expect("moved away");
    std::fs::write(&folder, "in the way").expect("written");
    let outcome = client.run(escalated).await;
    let (code, output) = outcome.ran();
    assert_eq!(code, 1);
    assert!(output.contains("may run outside the sandbox only when that is on record"), "{output}");
    assert!(output.contains("audit"), "{output}");
    assert_eq!(client.run("cat /dev/null && echo ran").await.ran(), (0, "ran\n"));

    std::fs::remove_file(&folder).expect("removed");
    assert_eq!(client.run(escalated).await.ran(), (0, "ran\n"));
    let (code, output, error) = verified(&world, &[]);
    // The refusal may have waited until the log was there again.
    let is_said = code == 3 && output.contains("missing: 1 decisions could not be written");
    assert!(code == 0 || is_said, "{code} {output}{error}");
}

#[tokio::test]
async fn a_full_disk_stops_escalations_but_not_commands_and_leaves_the_log_whole() {
    let world = World::with_rules(RULES);
    // A limit to the size of files, with its signal ignored, is what a full disk is to a writer.
    // Its own words may go to a file as well, so they are not kept.
    let limited = "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\" 2>/dev/null";
    let server = world.server(&["--sandbox", "danger-full-access"]);
    let mut command = world.server(&[]);
    let mut wrapped = std::process::Command::new("bash");
    wrapped.args(["-c", limited]).arg(server.get_program()).args(server.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    command = wrapped;
    command.current_dir(world.workdir());
    let client = Client::start_command(&world, &Person::absent(), command).await;

    let escalated = "printenv HOME >/dev/null && echo ran";
    assert_eq!(client.run(escalated).await.ran(), (0, "ran\n"));
    let mut denied = None;
    for _ in 0..20 {
        let outcome = client.run(escalated).await;
        if outcome.ran().0 != 0 {
            denied = Some(outcome);
            break;
        }
    }
    let denied: Outcome = denied.expect("the disk is full in the end");
    let (_, output) = denied.ran();
    assert!(output.contains("cannot write to") && output.contains("decisions.jsonl"), "{output}");
    assert_eq!(client.run("cat /dev/null && echo ran").await.ran(), (0, "ran\n"));
    assert_eq!(client.run(escalated).await.ran().0, 1);
    // That something is missing is said where there was room for a few words.
    let (code, output, error) = verified(&world, &[]);
    assert!([0, 3].contains(&code) && output.starts_with("decisions unbroken"), "{code} {output}{error}");
}

#[tokio::test]
async fn servers_of_one_user_share_one_chain_and_tampering_is_named() {
    let world = World::with_rules(RULES);
    let person = Person::absent();
    assert_eq!(verified(&world, &[]).0, 2);
    let (first, second) = tokio::join!(Client::start(&world, &person), Client::start(&world, &person));
    for _ in 0..3 {
        let command = "for i in 1 2 3; do printenv HOME; cat /dev/null; done >/dev/null";
        let (one, other) = tokio::join!(first.run(command), second.run(command));
        assert_eq!((one.ran(), other.ran()), ((0, ""), (0, "")));
    }
    let lines = shown(&world, |lines| decisions(lines).len() >= 36).await;
    let servers: std::collections::BTreeSet<_> = lines.iter().map(|line| line["server"].as_u64()).collect();
    assert_eq!(servers.len(), 2);
    let (code, output, error) = verified(&world, &[]);
    assert_eq!(code, 0, "{output}{error}");
    let head = output.lines().find_map(|line| line.strip_prefix("head: ")).expect("a head").to_owned();
    assert_eq!(verified(&world, &["--head", &head]).0, 0);
    drop((first, second));

    let file = std::fs::read_to_string(newest(&world)).expect("the log");
    let (cut, _) = file.trim_end().rsplit_once('\n').expect("lines");
    std::fs::write(newest(&world), format!("{cut}\n")).expect("written");
    // Whether something ran after the line that is gone is a matter of moments.
    assert!([0, 3].contains(&verified(&world, &[]).0));
    let (code, _, error) = verified(&world, &["--head", &head]);
    assert!(code == 1 && error.contains(&head), "{code} {error}");

    std::fs::write(newest(&world), file.replacen("/printenv", "/harmless", 1)).expect("written");
    let (code, _, error) = verified(&world, &[]);
    let changed = file.lines().position(|line| line.contains("/printenv")).expect("there") + 1;
    let place = format!("{}:{}", newest(&world).display(), changed + 1);
    assert!(code == 1 && error.contains(&place), "{code} {error}");
}

/// A limit of the size of files is what a full disk is, and its signal must not end the server.
#[test]
fn a_log_that_may_not_grow_stops_escalations_and_nothing_else() {
    use end_to_end_tests::lines::Lines;
    let world = World::with_rules("prefix_rule([\"touch\"], \"allow\")\n");
    let plan = world.server(&["--sandbox", "danger-full-access"]);
    let mut limited = std::process::Command::new("bash");
    world.surround(&mut limited);
    limited.args(["-c", "ulimit -f 4; exec \"$0\" \"$@\""]).arg(plan.get_program()).args(plan.get_args());
    let mut server = Lines::start_command(limited);
    server.initialize();
    let mut run = |command: &str| {
        let arguments = serde_json::json!({"command": command, "workdir": world.workdir(), "login": false});
        let answer =
            server.request("tools/call", serde_json::json!({"name": "shell", "arguments": arguments}));
        answer["result"]["structuredContent"]["output"].as_str().expect("output").to_owned()
    };
    assert_eq!(run("touch made; ls"), "made\n", "the twin");
    let refused = (0..100).find_map(|number| {
        let output = run(&format!("touch made{number}; [ -e made{number} ] || echo not made"));
        output.ends_with("not made\n").then_some(output)
    });
    let refused = refused.expect("the log is full");
    assert!(
        refused.contains("only when that is on record") && refused.contains("File too large"),
        "{refused}"
    );
    assert_eq!(run("echo still; exit 0"), "still\n");
    // What the server starts is not affected.
    assert!(
        run("grep SigIgn /proc/self/status; (head -c 9000 /dev/zero > large); echo $?").ends_with("153\n")
    );
}

/// What an agent could do to make the log forget: very many harmless programs, with long arguments.
#[tokio::test]
async fn harmless_programs_with_long_arguments_push_nothing_out_of_the_log() {
    let world = World::with_rules(RULES);
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("printenv HOME > /dev/null").await.ran().0, 0);
    let flood = "long=$(printf '\\001%.0s' {1..4000}); for i in {1..500}; do /bin/true \"$long$i\"; done";
    assert_eq!(client.run_within(flood, PATIENCE).await.ran(), (0, ""));
    let lines = shown(&world, |lines| decisions(lines).len() >= 500).await;
    assert!(lines.iter().any(|line| line["decision"] == "escalate"), "it is still there");
    let last = decisions(&lines).last().expect("many")["cut"].clone();
    assert!(last["sha256"].as_str().is_some_and(|hash| hash.len() == 64), "{last}");
    // Of 12 MB of text there is a part, and of the rest the hashes.
    let runs = newest(&world).with_file_name("runs.jsonl").metadata().expect("there").len();
    assert!(runs < 4 << 20, "{runs} bytes");
    assert_eq!(verified(&world, &[]).0, 0);
}

#[tokio::test]
async fn a_calls_programs_are_drawn_as_a_tree_with_what_was_decided() {
    let world = World::with_rules(RULES);
    let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
    client.run("true").await;
    client.run("env nice env shutdown now; (env printenv HOME > /dev/null); cat /dev/null").await;
    shown(&world, |lines| lines.iter().any(|line| line["event"] == "ended")).await;
    let draw = |call: &str| {
        let output = world.server(&["audit", "tree", call]).output().expect("exec-server");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let tree = eventually_async(async || {
        let (code, tree) = draw("2");
        if code == Some(0) && tree.contains("/cat") { Ok(tree) } else { Err(tree) }
    })
    .await;
    let words = |line: &str| {
        let at = line.find(|character: char| character.is_ascii_digit()).unwrap_or_default();
        let mut words = line[at..].split(": ");
        let (verb, program) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = program.split(' ').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        format!("{}{} {name}", &line[..at], verb.split_once(' ').map_or("", |(_, verb)| verb))
    };
    let drawn: Vec<String> = tree.lines().skip(1).map(words).collect();
    let expected = [
        "├─ ran inside env",
        "│  └─ ran inside nice",
        "│     └─ ran inside env",
        "│        └─ DENIED shutdown",
        "├─ ran inside env",
        "│  └─ ran OUTSIDE printenv",
        "└─ ran inside cat",
    ];
    assert_eq!(drawn, expected, "{tree}");
    assert_ne!(draw("77").0, Some(0));
}
