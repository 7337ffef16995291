//! Patches: as a tool and as a program, what is asked about, and what no patch gets at.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

/// A rule file with words that Codex does not know.
fn with_patch_rules(rules: &str) -> World {
    let world = World::with_rules("");
    let folder = world.codex_home().join("shell-tool/rules");
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join("patches.rules"), rules).expect("written");
    world
}

fn patch(sections: &str) -> String {
    format!("*** Begin Patch\n{sections}\n*** End Patch\n")
}

fn call(world: &World, input: &str) -> Value {
    json!({"name": "apply_patch", "arguments": {"input": input, "workdir": world.workdir()}, "_meta": {"progressToken": "p"}})
}

/// What came of a patch: its result, what was asked, and what was told meanwhile.
struct Patched {
    result: Value,
    questions: Vec<String>,
    told: Vec<String>,
}

/// Applies a patch, answering every question so.
fn apply(world: &World, server: &mut Lines, input: &str, decision: &str) -> Patched {
    let id = server.send_request("tools/call", call(world, input));
    let (mut questions, mut told) = (Vec::new(), Vec::new());
    loop {
        let message = server.receive();
        if message["method"] == "notifications/progress" {
            let text = message["params"]["message"].as_str().expect("a text");
            told.push(text.split_once(": ").map_or(text, |(_, what)| what).to_owned());
        } else if message["method"] == "elicitation/create" {
            questions.push(message["params"]["message"].as_str().expect("a text").to_owned());
            server.respond(&message["id"], &json!({"action": "accept", "content": {"decision": decision}}));
        } else if message["id"] == json!(id) {
            let result = message["result"]["structuredContent"].clone();
            assert!(result.is_object(), "{message}");
            return Patched { result, questions, told };
        }
    }
}

fn serve(world: &World, arguments: &[&str]) -> Lines {
    let mut server = Lines::start_with(world, arguments);
    server.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    server
}

fn run(world: &World, server: &mut Lines, command: &str) -> Value {
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 100_000});
    let answer = server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
    answer["result"]["structuredContent"].clone()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const SANDBOXES: [&[&str]; 2] = [&[], &["--sandbox", "danger-full-access"]];

#[test]
fn the_tool_changes_files_and_says_which() {
    for sandbox in SANDBOXES {
        let world = World::with_rules("");
        let ws = world.workdir();
        fs::write(ws.join("run.sh"), "#!/bin/sh\r\necho old\r\n").expect("written");
        fs::set_permissions(ws.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
        fs::write(ws.join("gone"), "x").expect("written");
        fs::write(ws.join("here"), "1\n2").expect("written");
        let mut server = serve(&world, sandbox);
        let input = patch(
            "*** Update File: run.sh\n@@\n-echo old\n+echo new\n*** Add File: a/b/c.txt\n+text\n*** Delete File: gone\n\
             *** Update File: here\n*** Move to: there\n@@\n-1\n+one",
        );
        let patched = apply(&world, &mut server, &input, "once");
        let result = &patched.result;
        assert_eq!(result["status"], "completed", "{result}");
        assert_eq!(
            result["changes"],
            json!([
                {"kind": "update", "path": "run.sh"}, {"kind": "add", "path": "a/b/c.txt"},
                {"kind": "delete", "path": "gone"}, {"kind": "move", "path": "here", "to": "there"}
            ])
        );
        assert_eq!(
            (text(&ws.join("run.sh")).as_str(), text(&ws.join("there")).as_str()),
            ("#!/bin/sh\r\necho new\r\n", "one\n2")
        );
        let mode = fs::metadata(ws.join("run.sh")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert!(!ws.join("gone").exists() && !ws.join("here").exists() && ws.join("a/b/c.txt").exists());
        assert!(patched.questions.is_empty());
        assert_eq!(patched.told.first().map(String::as_str), Some("started"), "{:?}", patched.told);
        assert_eq!(patched.told.last().map(String::as_str), Some("completed"), "{:?}", patched.told);
    }
}

#[test]
fn patches_at_once_lose_nothing() {
    const WRITERS: usize = 4;
    let lines: String = (0..WRITERS).map(|line| format!("old {line}\n")).collect();
    let update = |line: usize| patch(&format!("*** Update File: f\n@@\n-old {line}\n+new {line}"));
    for sandbox in SANDBOXES {
        let world = World::with_rules("");
        let ws = world.workdir();
        let mut server = serve(&world, sandbox);
        for _ in 0..3 {
            fs::write(ws.join("f"), &lines).expect("written");
            let ids: Vec<u64> = (0..WRITERS)
                .map(|line| server.send_request("tools/call", call(&world, &update(line))))
                .collect();
            let mut left = ids.len();
            while left > 0 {
                let message = server.receive();
                if message["id"].as_u64().is_some_and(|id| ids.contains(&id)) {
                    assert_eq!(message["result"]["structuredContent"]["status"], "completed", "{message}");
                    left -= 1;
                }
            }
            assert_eq!(text(&ws.join("f")), lines.replace("old", "new"));
        }
        fs::write(ws.join("f"), &lines).expect("written");
        let typed: String = (0..WRITERS)
            .map(|line| format!("apply_patch '{}' >/dev/null &\n", update(line).trim_end()))
            .collect();
        let result =
            run(&world, &mut server, &format!("{typed}for job in $(jobs -p); do wait $job || echo $?; done"));
        assert_eq!(result["output"], "", "{result}");
        assert_eq!(text(&ws.join("f")), lines.replace("old", "new"));
        assert_eq!(fs::read_dir(&ws).expect("a folder").count(), 1, "nothing is left behind");
    }
}

#[test]
fn nobody_is_asked_about_a_patch_that_does_not_fit() {
    let world = with_patch_rules("patch_rule([\"m\"], \"prompt\")\n");
    let ws = world.workdir();
    for folder in ["m", ".vscode"] {
        fs::create_dir_all(ws.join(folder)).expect("made");
        fs::write(ws.join(folder).join("a"), "x\n").expect("written");
    }
    let mut server = serve(&world, &[]);
    for folder in ["m", ".vscode"] {
        let update = |old: &str| patch(&format!("*** Update File: {folder}/a\n@@\n-{old}\n+y"));
        let misfit = apply(&world, &mut server, &update("nope"), "once");
        assert_eq!(
            (&misfit.result["status"], misfit.questions.len()),
            (&json!("failed"), 0),
            "{}",
            misfit.result
        );
        assert_eq!(misfit.result["failures"][0]["hunk"], 1, "{}", misfit.result);
        let Patched { result, questions, mut told } = apply(&world, &mut server, &update("x"), "once");
        assert_eq!((&result["status"], questions.len()), (&json!("completed"), 1), "{result}");
        told.dedup();
        assert_eq!(told, ["started", "waiting for approval", "applying", "completed"]);
    }
}

#[test]
fn rules_of_a_trusted_project_cannot_be_patched() {
    let world = World::with_rules("");
    let mut server = serve(&world, &["--trust-project-rules"]);
    for place in [".codex/rules/x.rules", ".codex/config.toml"] {
        let input = patch(&format!("*** Add File: {place}\n+prefix_rule([\"bash\"], \"forbidden\")"));
        let Patched { result, questions, .. } = apply(&world, &mut server, &input, "once");
        assert_eq!((&result["status"], questions.len()), (&json!("failed"), 0), "{place}: {result}");
        assert!(
            result["failures"][0]["reason"].to_string().contains("cannot be patched"),
            "{place}: {result}"
        );
    }
    assert!(!world.workdir().join(".codex").exists());
}

#[test]
fn a_patch_that_does_not_fit_changes_nothing_and_says_where() {
    let world = World::with_rules("");
    let ws = world.workdir();
    fs::write(ws.join("a"), "one\n").expect("written");
    fs::write(ws.join("b"), "alpha\nbeta\n").expect("written");
    let mut server = serve(&world, &[]);
    let input = patch("*** Update File: a\n@@\n-one\n+1\n*** Update File: b\n@@\n-beto\n+B");
    let Patched { result, told, .. } = apply(&world, &mut server, &input, "once");
    assert_eq!(
        (&result["status"], result["changes"].as_array().map(Vec::len)),
        (&json!("failed"), Some(0)),
        "{result}"
    );
    let failure = &result["failures"][0];
    assert_eq!((&failure["path"], &failure["hunk"]), (&json!("b"), &json!(1)), "{result}");
    assert_eq!(failure["nearest"][0], json!({"line": 2, "text": "beta"}), "{result}");
    assert_eq!(told.last().map(String::as_str), Some("failed"));
    assert_eq!(text(&ws.join("a")), "one\n");
    let answer = server.request("tools/call", call(&world, "no patch"));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer.to_string().contains("*** Begin Patch"), "{answer}");
}

#[test]
fn models_type_it_as_they_are_used_to() {
    for arguments in [&[][..], &["--door", "wrapper"], &["--sandbox", "danger-full-access"]] {
        let world = World::with_rules("");
        let ws = world.workdir();
        fs::write(ws.join("f"), "0\n").expect("written");
        let mut server = serve(&world, arguments);
        let update = |from: u8| patch(&format!("*** Update File: f\n@@\n-{from}\n+{}", from + 1));
        fs::write(ws.join("p"), update(1)).expect("written");
        for (command, count) in [
            (format!("apply_patch <<'EOF'\n{}EOF", update(0)), "1\n"),
            ("apply_patch \"$(cat p)\"".to_owned(), "2\n"),
            (format!("cat <<'EOF' | sh -c applypatch\n{}EOF", update(2)), "3\n"),
            (format!("env apply_patch '{}'", update(3).trim_end()), "4\n"),
        ] {
            let result = run(&world, &mut server, &command);
            assert_eq!(result["exit_code"], 0, "{arguments:?} {command}: {result}");
            assert_eq!(result["output"], "Success. Updated the following files:\nM f\n", "{result}");
            assert_eq!(text(&ws.join("f")), count, "{command}");
        }
        let result = run(&world, &mut server, &format!("apply_patch <<'EOF'\n{}EOF", update(8)));
        assert_eq!(result["exit_code"], 1, "{result}");
        let output = result["output"].as_str().expect("a text");
        assert!(output.contains("nothing was changed") && output.contains("f, hunk 1"), "{output}");
    }
}

#[test]
fn rules_ask_with_the_diff_and_forbid() {
    let rules = "patch_rule([\"migrations\"], \"prompt\", justification = \"tell me first\")\n\
                 patch_rule([\"**/*.lock\"], \"forbidden\", justification = \"let the tool write it\")\n";
    let world = with_patch_rules(rules);
    let ws = world.workdir();
    let mut server = serve(&world, &[]);
    let input = patch("*** Add File: migrations/1.sql\n+create table t;");
    let refused = apply(&world, &mut server, &input, "deny");
    assert_eq!(refused.result["status"], "declined", "{}", refused.result);
    assert!(!ws.join("migrations").exists());
    let [question] = &refused.questions[..] else { panic!("one question: {:?}", refused.questions) };
    for words in
        ["change 1 file (`migrations/1.sql`)", "tell me first", "patches.rules:1", "+create table t;"]
    {
        assert!(question.contains(words), "{words}: {question}");
    }
    assert_eq!(refused.told.first().map(String::as_str), Some("started"));
    assert_eq!(refused.told.last().map(String::as_str), Some("declined"));
    assert!(refused.told.contains(&"waiting for approval".to_owned()), "{:?}", refused.told);
    let allowed = apply(&world, &mut server, &input, "once");
    assert_eq!(allowed.result["status"], "completed", "{}", allowed.result);
    assert!(ws.join("migrations/1.sql").exists());
    let forbidden = apply(&world, &mut server, &patch("*** Add File: sub/Cargo.lock\n+x"), "once");
    assert_eq!(forbidden.result["status"], "declined", "{}", forbidden.result);
    assert!(forbidden.questions.is_empty() && !ws.join("sub").exists());
    let said = forbidden.result.to_string();
    assert!(said.contains("let the tool write it") && said.contains("patches.rules:2"), "{said}");
    // What is typed is judged alike, read or given.
    let typed = patch("*** Add File: x.lock\n+x");
    for command in [format!("apply_patch <<'EOF'\n{typed}EOF"), format!("apply_patch '{}'", typed.trim_end())]
    {
        let result = run(&world, &mut server, &command);
        assert_eq!(
            (&result["status"], ws.join("x.lock").exists()),
            (&json!("declined"), false),
            "{command}: {result}"
        );
        assert!(result["output"].to_string().contains("patches.rules:2"), "{result}");
    }
}

#[test]
fn protected_files_are_asked_about_and_others_stay_protected() {
    let world = World::with_rules("");
    let ws = world.workdir();
    fs::create_dir_all(ws.join(".vscode")).expect("made");
    fs::write(ws.join(".vscode/tasks.json"), "{}\n").expect("written");
    let mut server = serve(&world, &[]);
    let input = patch(
        "*** Update File: .vscode/tasks.json\n@@\n-{}\n+{\"version\": \"2.0.0\"}\n*** Add File: plain\n+x",
    );
    let refused = apply(&world, &mut server, &input, "deny");
    assert_eq!(
        (&refused.result["status"], refused.questions.len()),
        (&json!("declined"), 1),
        "{}",
        refused.result
    );
    assert!(refused.questions[0].contains("programs outside the sandbox obey"), "{:?}", refused.questions);
    assert!(text(&ws.join(".vscode/tasks.json")) == "{}\n" && !ws.join("plain").exists());
    let allowed = apply(&world, &mut server, &input, "once");
    assert_eq!(allowed.result["status"], "completed", "{}", allowed.result);
    assert!(text(&ws.join(".vscode/tasks.json")).contains("2.0.0") && ws.join("plain").exists());
    // That was for this patch: what is typed gets nothing by it, and changes nothing of the rest either.
    let typed = patch(
        "*** Add File: other\n+x\n*** Update File: .vscode/tasks.json\n@@\n-{\"version\": \"2.0.0\"}\n+{}",
    );
    let result = run(&world, &mut server, &format!("apply_patch <<'EOF'\n{typed}EOF"));
    assert_ne!(result["exit_code"], 0, "{result}");
    assert!(text(&ws.join(".vscode/tasks.json")).contains("2.0.0") && !ws.join("other").exists(), "{result}");
    // What says what commands may do is no patch's business.
    let rules = world.codex_home().join("rules/default.rules");
    let hostile = patch(&format!(
        "*** Add File: {}\n+prefix_rule([\"sh\"], \"allow\")",
        rules.with_extension("new.rules").display()
    ));
    let failed = apply(&world, &mut server, &hostile, "once");
    assert_eq!(failed.result["status"], "failed", "{}", failed.result);
    assert!(!rules.with_extension("new.rules").exists());
}

#[test]
fn a_rule_may_allow_protected_files() {
    let world = with_patch_rules("patch_rule([\".vscode/settings.json\"], \"allow\")\n");
    let mut server = serve(&world, &[]);
    let patched = apply(&world, &mut server, &patch("*** Add File: .vscode/settings.json\n+{}"), "deny");
    assert_eq!(
        (&patched.result["status"], patched.questions.len()),
        (&json!("completed"), 0),
        "{}",
        patched.result
    );
}

#[test]
fn no_patch_leaves_the_folders_that_may_be_written() {
    let world = World::with_rules("").configured("");
    let ws = world.workdir();
    let outside = world.home().join("outside");
    fs::create_dir_all(&outside).expect("made");
    fs::write(outside.join("secret"), "one\n").expect("written");
    symlink(&outside, ws.join("away")).expect("linked");
    symlink(outside.join("secret"), ws.join("link")).expect("linked");
    let mut server = serve(&world, &[]);
    let up = "../".repeat(12);
    let absolute = outside.join("secret").display().to_string();
    let long = "x".repeat(300);
    for path in
        ["away/secret", "link", &absolute, &format!("{up}{absolute}"), "a\u{1}b", &long, "", ".", "sub/.."]
    {
        let input = patch(&format!("*** Update File: {path}\n@@\n-one\n+1"));
        let answer = server.request("tools/call", call(&world, &input));
        let result = &answer["result"];
        assert!(
            result["isError"] == true || result["structuredContent"]["status"] == "failed",
            "{path}: {answer}"
        );
        assert_eq!(text(&outside.join("secret")), "one\n", "{path}");
    }
    for path in ["away/new", &outside.join("new").display().to_string(), "/etc/new-file"] {
        let result = apply(&world, &mut server, &patch(&format!("*** Add File: {path}\n+x")), "once").result;
        assert_eq!(result["status"], "failed", "{path}: {result}");
    }
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 1);
    let names = fs::read_dir(&ws).expect("a folder").count();
    assert_eq!(names, 2, "nothing else is left behind");
}

#[test]
fn a_folder_that_is_swapped_for_a_link_leads_nowhere() {
    let world = World::with_rules("").configured("");
    let ws = world.workdir();
    let outside = world.home().join("outside");
    fs::create_dir_all(&outside).expect("made");
    fs::create_dir_all(ws.join("d")).expect("made");
    let mut server = serve(&world, &[]);
    let outside_link = outside.display();
    let swap = format!(
        "for i in $(seq 60); do mv d e; ln -s {outside_link} d; rm d; mv e d; done & \
         for i in $(seq 30); do apply_patch \"*** Begin Patch\n*** Add File: d/f$i\n+x\n*** End Patch\"; done >/dev/null 2>&1; wait"
    );
    let result = run(&world, &mut server, &swap);
    assert_eq!(result["timed_out"], false, "{result}");
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
}
