//! A server behind HTTP whose principals have users of their own: each is served by a process of his user.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use end_to_end_tests::World;
use end_to_end_tests::http::{Site, Visitor};
use end_to_end_tests::waiting::eventually;
use serde_json::{Value, json};

const FIRST: u32 = 2_000_000;

const RULES: &str = "\
prefix_rule(pattern=[\"id\"], decision=\"allow\", run=\"outside\")
prefix_rule(pattern=[\"cat\"], decision=\"allow\", run=\"outside\")
prefix_rule(pattern=[\"touch\"], decision=\"prompt\")
";

/// A world whose rules and programs every user can read.
struct Shared {
    world: World,
    programs: PathBuf,
}

impl Shared {
    /// `None`: the tests do not run as root, who alone can become others.
    fn new() -> Option<Shared> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let world = World::with_rules(RULES);
        let programs = world.home().join("programs");
        std::fs::create_dir(&programs).expect("a folder");
        for name in ["exec-server", "execve-wrapper", "bash"] {
            std::fs::copy(end_to_end_tests::binaries().join(name), programs.join(name)).expect("copied");
        }
        for folder in [world.home(), &programs, &world.codex_home(), &world.codex_home().join("rules")] {
            set_permissions(folder, Permissions::from_mode(0o755)).expect("open");
        }
        let lines = "ann token-of-ann-0123456789\nbob token-of-bob-0123456789\n\
                     op token-of-op-0123456789 shell:approve shell:admin\n";
        std::fs::write(world.home().join("tokens"), lines).expect("written");
        Some(Shared { world, programs })
    }

    fn workspaces(&self) -> PathBuf {
        self.world.home().join("workspaces")
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("exec-server"));
        self.world.surround(&mut command);
        let range = format!("{FIRST}-{}", FIRST + 9);
        command.args(["serve", "--http", "127.0.0.1:0", "--tenant-uids", &range, "--workspaces"]);
        command.arg(self.workspaces()).arg("--token-file").arg(self.world.home().join("tokens")).args(more);
        command
    }

    fn site(&self, more: &[&str]) -> Site {
        Site::of(self.command(more))
    }
}

fn as_one(site: &Site, name: &str) -> Visitor {
    site.visitor().saying(&format!("Authorization: Bearer token-of-{name}-0123456789"))
}

/// Somebody's folder below this one.
fn folder_of(below: &Path, name: &str) -> PathBuf {
    let mut found = below.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path());
    let begin = format!("{name}-");
    found
        .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begin)))
        .expect(name)
}

/// Waits until it is so.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(|| if holds() { Ok(()) } else { Err(what) });
}

fn children(process: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    text.unwrap_or_default().split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

#[test]
fn each_has_a_user_and_what_runs_outside_runs_as_him() {
    let Some(shared) = Shared::new() else { return };
    let site = shared.site(&[]);
    let (ann, bob) = (as_one(&site, "ann"), as_one(&site, "bob"));
    for (visitor, uid) in [(&ann, FIRST), (&bob, FIRST + 1), (&ann, FIRST)] {
        let inside = visitor.run("echo $UID; echo secret > file; umask");
        assert!(inside["output"].to_string().contains(&uid.to_string()), "{inside}");
        let outside = visitor.run("id");
        assert_eq!(outside["decisions"][0]["decision"], "escalated", "{outside}");
        let says = format!("uid={uid} gid={uid} groups={uid}");
        assert!(outside["output"].as_str().expect("text").starts_with(&says), "{outside}");
    }
    // What the rules let outside reads nothing of another one's, nor of the administrator's.
    let of_ann = folder_of(&shared.workspaces(), "ann").join("workspace/file");
    assert_eq!(std::fs::read_to_string(&of_ann).expect("there"), "secret\n");
    let home_of_ann = folder_of(&shared.workspaces().join(".principals"), "ann");
    let sockets = shared.world.codex_home().join("shell-tool-mcp/http/workers");
    for path in [of_ann, home_of_ann.join("rules"), sockets, shared.workspaces()] {
        let read = bob.run(&format!("cat {}/. {0}", path.display()));
        assert_eq!(read["decisions"][0]["decision"], "escalated", "{read}");
        let output = read["output"].as_str().expect("text");
        let refused = output.contains("Permission denied") || output.contains("Is a directory");
        assert!(refused && !output.contains("secret"), "{read}");
    }
    assert_eq!(home_of_ann.metadata().expect("there").mode() & 0o7777, 0o700);
    // Nothing that serves them has more rights than they.
    let users: Vec<u32> = children(site.id())
        .into_iter()
        .map(|child| Path::new("/proc").join(child.to_string()).metadata().expect("it lives").uid())
        .collect();
    assert_eq!(users, [FIRST, FIRST + 1]);
}

#[test]
fn handles_and_sessions_are_his_alone_and_users_stay_the_same() {
    let Some(shared) = Shared::new() else { return };
    let mut site = shared.site(&[]);
    let (ann, bob) = (as_one(&site, "ann"), as_one(&site, "bob"));
    assert_eq!(bob.run("true")["exit_code"], 0);
    let session = ann.begin(json!({}));
    let shell = |command: &str| json!({"command": command, "login": false});
    let mut ran = ann.call_in(&session, 1, "shell", &shell("echo $UID; seq 200000"));
    let result = ran.result()["structuredContent"].clone();
    let output = result["output_id"].as_str().expect("an output").to_owned();
    let mut read = ann.call_in(&session, 2, "read_output", &json!({"id": output}));
    let read = read.result();
    assert!(read["isError"] != json!(true), "{read}");
    assert_eq!(bob.call_in(&session, 1, "shell", &shell("true")).status, 404, "unknown to him");
    let foreign = bob.call("read_output", &json!({"id": output})).result();
    assert_eq!(foreign["isError"], true, "{foreign}");
    site.signal(rustix::process::Signal::TERM);
    assert!(site.end().success());
    let again = shared.site(&[]);
    // In another order.
    let (ann, bob) = (as_one(&again, "ann"), as_one(&again, "bob"));
    assert!(ann.run("echo $UID")["output"].to_string().contains(&FIRST.wrapping_add(1).to_string()));
    assert!(bob.run("echo $UID")["output"].to_string().contains(&FIRST.to_string()));
    let mut ran = ann.call_in(&session, 3, "shell", &shell("echo hello"));
    assert_eq!(ran.result()["structuredContent"]["output"], "hello\n", "the session goes on");
}

#[test]
fn questions_of_all_are_on_one_page_and_counts_are_summed() {
    let Some(shared) = Shared::new() else { return };
    let site = shared.site(&[]);
    let (ann, bob, op) = (as_one(&site, "ann"), as_one(&site, "bob"), as_one(&site, "op"));
    assert_eq!(ann.at("/approve/events").get(&[]).status, 403);
    let mut events = op.at("/approve/events").get(&[]);
    let mut next = move || -> Value {
        loop {
            let event = events.event().expect("an event");
            if !event.data.is_empty() {
                return serde_json::from_str(&event.data).expect("a message");
            }
        }
    };
    assert_eq!(next()["say"], "hello");
    let shell = json!({"command": "touch x && echo made", "login": false});
    let sessions = [ann.begin(json!({})), bob.begin(json!({}))];
    let mut calls =
        [ann.call_in(&sessions[0], 1, "shell", &shell), bob.call_in(&sessions[1], 1, "shell", &shell)];
    let asked = [next(), next()];
    for (name, choice) in [("ann", "once"), ("bob", "deny")] {
        let by = format!("Asked by {name}.");
        let question = asked.iter().find(|question| question["details"][0] == by).expect(name);
        let answer = json!({"say": "answer", "id": question["id"], "choice": choice, "reason": null});
        let kind = ["Content-Type: application/json".to_owned()];
        let answers = op.at("/approve/answers");
        let none = json!({"say": "answer", "id": "77-q1", "choice": choice, "reason": null});
        assert_eq!(answers.send("POST", &kind, &none.to_string()).status, 409);
        assert_eq!(answers.send("POST", &kind, &answer.to_string()).status, 204);
        assert_eq!(next(), json!({"say": "closed", "id": question["id"]}));
        assert_eq!(answers.send("POST", &kind, &answer.to_string()).status, 409, "answered already");
    }
    let [made, denied] = calls.each_mut().map(|call| call.result()["structuredContent"].clone());
    assert_eq!(made["output"], "made\n", "{made}");
    assert_ne!(denied["exit_code"], 0, "{denied}");
    let metrics = op.at("/metrics").get(&[]).text();
    for line in [
        "shell_tool_principals 2",
        "shell_tool_questions_total{answer=\"once\"} 1",
        "shell_tool_questions_total{answer=\"declined\"} 1",
        "shell_tool_call_duration_seconds_count 2",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_worker_that_dies_is_started_again_and_none_outlives_the_front() {
    let Some(shared) = Shared::new() else { return };
    let mut site = shared.site(&[]);
    let ann = as_one(&site, "ann");
    assert_eq!(ann.run("true")["exit_code"], 0);
    let worker = children(site.id())[0];
    let id = rustix::process::Pid::from_raw(worker.try_into().expect("small")).expect("a process");
    rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("killed");
    until("another one serves", || ann.call("shell", &json!({"command": "true"})).status == 200);
    let worker = children(site.id())[0];
    site.signal(rustix::process::Signal::KILL);
    let _ = site.end();
    until("the worker ends", || !Path::new("/proc").join(worker.to_string()).exists());
}

#[test]
fn what_runs_is_finished_when_the_server_leaves() {
    let Some(shared) = Shared::new() else { return };
    let mut site = shared.site(&[]);
    let ann = as_one(&site, "ann");
    let gate = shared.workspaces().join("gate");
    let session = ann.begin(json!({}));
    let waits =
        json!({"command": "echo begun > begun; until [ -e end ]; do sleep 0.05; done; echo finished"});
    let mut call = ann.call_in(&session, 1, "shell", &waits);
    let workspace = folder_of(&shared.workspaces(), "ann").join("workspace");
    until("it runs", || workspace.join("begun").exists());
    site.signal(rustix::process::Signal::TERM);
    until("it is not ready", || ann.at("/readyz").get(&[]).status == 503);
    assert_eq!(ann.call("shell", &waits).status, 503, "nothing new begins");
    std::fs::write(workspace.join("end"), "").expect("written");
    assert_eq!(call.result()["structuredContent"]["output"], "finished\n");
    assert!(site.end().success() && !gate.exists());
}

#[test]
fn it_does_not_begin_where_users_would_not_be_kept_apart() {
    let Some(shared) = Shared::new() else { return };
    let fails = |mut command: Command, says: &str| {
        let output = command.stderr(Stdio::piped()).output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(says), "{says} is not in\n{error}");
    };
    // Somebody else could exchange their folders.
    std::fs::create_dir(shared.workspaces()).expect("made");
    set_permissions(shared.workspaces(), Permissions::from_mode(0o777)).expect("open");
    fails(shared.command(&[]), "must be a folder of root's that nobody else may write");
    // They could not come to their own.
    set_permissions(shared.workspaces(), Permissions::from_mode(0o700)).expect("closed");
    fails(shared.command(&[]), "chmod a+x");
    set_permissions(shared.workspaces(), Permissions::from_mode(0o711)).expect("passable");
    // Whoever is asked would be asked by them.
    fails(shared.command(&["--approval-command", "/bin/true"]), "--approval-command");
    fails(shared.command(&["--memory-max", "100M"]), "memory_max");
    // The rules could not be read.
    let rules = shared.world.codex_home().join("rules");
    set_permissions(&rules, Permissions::from_mode(0o700)).expect("closed");
    fails(shared.command(&[]), "must be readable for all");
    set_permissions(&rules, Permissions::from_mode(0o755)).expect("open");
    let mut nobody_known =
        shared.world.server(&["serve", "--http", "127.0.0.1:0", "--tenant-uids", "2000000-2000009"]);
    fails(std::mem::replace(&mut nobody_known, Command::new("true")), "nothing says who asks");
}
