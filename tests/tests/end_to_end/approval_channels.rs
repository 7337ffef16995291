//! Asking: what may be answered, through which channels, and what answers that are none come to.

use std::path::{Path, PathBuf};

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::{ended, written};
use serde_json::{Value, json};

use super::protocol::{output, shell};

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"makes files\")\n";

/// A server whose client, of this revision, can show forms.
fn with_forms(world: &World, version: &str, arguments: &[&str]) -> Lines {
    let arguments = [&["--sandbox", "danger-full-access"], arguments].concat();
    let mut server = Lines::start_with(world, &arguments);
    server.initialize_as(version, &json!({"elicitation": {}}));
    server
}

/// A server whose client cannot ask anybody.
fn without_forms(world: &World, arguments: &[&str]) -> Lines {
    let arguments = [&["--sandbox", "danger-full-access"], arguments].concat();
    let mut server = Lines::start_with(world, &arguments);
    server.initialize();
    server
}

/// Runs a command, answers every question so, and returns the questions and the command's output.
fn run(server: &mut Lines, world: &World, command: &str, response: &Value) -> (Vec<Value>, String) {
    let id = server.send_request("tools/call", shell(world, command));
    let mut questions = Vec::new();
    loop {
        let message = server.receive_call();
        if message["id"] == json!(id) && message.get("method").is_none() {
            return (questions, output(&message).to_owned());
        }
        assert_eq!(message["method"], "elicitation/create", "{message}");
        server.respond(&message["id"], response);
        questions.push(message["params"].clone());
    }
}

fn approver(world: &World, script: &str) -> PathBuf {
    world.program("approver", script)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn choose(decision: &str) -> Value {
    json!({"action": "accept", "content": {"decision": decision, "reason": ""}})
}

/// The names of an object's members, sorted.
fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_reason_can_be_given_where_a_field_for_it_works_or_is_wanted() {
    for (settings, client, offered) in [
        ("", "lines", false),
        ("", "claude-code", true),
        ("[shell_tool]\napproval.reason = \"always\"\n", "lines", true),
        ("[shell_tool]\napproval.reason = \"never\"\n", "claude-code", false),
    ] {
        let world = World::with_rules(RULES).configured(settings);
        let mut server = Lines::start(&world);
        server.initialize_of(client, "2025-11-25", &json!({"elicitation": {}}));
        let (questions, _) = run(&mut server, &world, "touch a", &choose("deny"));
        let schema = &questions[0]["requestedSchema"];
        let field = schema["properties"].get("reason");
        assert_eq!(field.is_some(), offered, "{settings}{client}: {schema}");
        assert_eq!(schema["required"], json!(["decision"]));
    }
    let world = World::with_rules("").configured("[shell_tool.approval]\nreason = \"perhaps\"\n");
    let (code, said) = end_to_end_tests::lines::run_to_end(&world, &[]);
    assert!(code != Some(0) && said.contains("perhaps"), "{said}");
}

#[test]
fn the_form_has_the_choices_in_the_words_of_the_clients_revision() {
    let world = World::with_rules(RULES);
    let words = json!(["once", "session", "always", "project:2", "hour:2", "deny"]);
    let mut older = with_forms(&world, "2025-06-18", &[]);
    let (questions, _) = run(&mut older, &world, "touch 'a b'", &json!({"action": "accept"}));
    let schema = &questions[0]["requestedSchema"];
    assert_eq!(schema["properties"]["decision"]["enum"], words, "{schema}");
    let titles = schema["properties"]["decision"]["enumNames"].to_string();
    assert!(titles.contains("commands that start with") && titles.contains("touch 'a b'"), "{titles}");
    assert_eq!(names(schema), ["properties", "required", "type"], "Codex cancels at any other: {schema}");
    assert_eq!(names(&schema["properties"]), ["decision"]);
    assert_eq!(
        names(&schema["properties"]["decision"]),
        ["default", "description", "enum", "enumNames", "title", "type"]
    );
    let message = questions[0]["message"].as_str().expect("a message");
    assert!(message.contains("\"always\" adds this rule: `prefix_rule(pattern=["), "{message}");
    let mut newer = with_forms(&world, "2025-11-25", &[]);
    let (questions, _) = run(&mut newer, &world, "touch 'a b'", &json!({"action": "accept", "content": {}}));
    let schema = &questions[0]["requestedSchema"];
    assert_eq!(names(schema), ["properties", "required", "type"]);
    let decision = &schema["properties"]["decision"];
    assert_eq!(names(decision), ["default", "description", "oneOf", "title", "type"]);
    let choices = decision["oneOf"].as_array().expect("choices");
    assert_eq!(json!(choices.iter().map(|choice| &choice["const"]).collect::<Vec<_>>()), words);
}

#[test]
fn once_is_once_and_for_the_session_is_for_the_very_same_command() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    std::fs::create_dir(world.workdir().join("folder")).expect("made");
    let mut asked =
        |command: &str, decision: &str| run(&mut server, &world, command, &choose(decision)).0.len();
    assert_eq!(asked("touch a", "once"), 1);
    assert_eq!(asked("touch a", "once"), 1);
    assert_eq!(asked("touch a", "session"), 1);
    assert_eq!(asked("touch a", "deny"), 0);
    // Each of these is another command.
    for other in [
        "touch a b",
        "touch b",
        "cd folder; touch a",
        "X=1 touch a",
        "exec -a other touch a",
        "cp /usr/bin/touch .; ./touch a",
    ] {
        assert_eq!(asked(other, "deny"), 1, "{other}");
    }
    assert_eq!(asked("touch a", "deny"), 0);
}

#[test]
fn always_writes_a_rule_that_holds_at_once_and_for_what_it_says_only() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    let mut asked =
        |command: &str, decision: &str| run(&mut server, &world, command, &choose(decision)).0.len();
    assert_eq!(asked("touch a", "always"), 1);
    let rules = std::fs::read_to_string(world.answers_file()).expect("rules");
    let line = rules.lines().next().expect("a line");
    assert!(line.contains("touch\", \"a\"], decision=\"allow\", overrides_prompt=True)"), "{line}");
    // Other programs that share the rules would not understand it.
    assert_eq!(std::fs::read_to_string(world.rules_file()).expect("rules"), RULES);
    assert_eq!(asked("touch a", "deny"), 0);
    assert_eq!(asked("touch a c", "deny"), 0);
    assert_eq!(asked("touch b", "deny"), 1);
    assert_eq!(std::fs::read_to_string(world.answers_file()).expect("rules"), rules);
}

#[test]
fn always_is_not_on_offer_where_it_would_allow_too_much() {
    let rules =
        format!("{RULES}prefix_rule(pattern=[[\"env\", \"bash\", \"git\", \"rm\"]], decision=\"prompt\")\n");
    let world = World::with_rules(&rules);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    for command in ["env touch a", "bash -c 'id'", "rm -rf a", "git"] {
        let (questions, output) = run(&mut server, &world, command, &choose("always"));
        let offered = &questions[0]["requestedSchema"]["properties"]["decision"]["enum"];
        assert_eq!(offered, &json!(["once", "session", "deny"]), "{command}");
        assert!(output.contains("\"always\" was not among the choices"), "{command}: {output}");
    }
    assert_eq!(std::fs::read_to_string(world.rules_file()).expect("rules"), rules);
}

#[test]
fn a_reason_reaches_the_agent_with_everything_in_it_visible() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    let no = json!({"action": "accept", "content": {"decision": "deny", "reason": "not\nhere\u{202e}"}});
    let (_, output) = run(&mut server, &world, "touch a", &no);
    assert_eq!(output, "Execution denied: User declined execution: not\\nhere\\u{202e}\n");
}

#[test]
fn an_answer_of_the_wrong_shape_is_a_no_and_the_server_goes_on() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    for response in [
        json!({}),
        json!(null),
        json!([]),
        json!("accept"),
        json!({"action": "allow"}),
        json!({"action": "ACCEPT"}),
        json!({"action": true}),
        json!({"action": ["accept"]}),
        json!({"content": {"decision": "once"}}),
        json!({"action": "accept", "content": "once"}),
        json!({"action": "accept", "content": {"decision": "yes"}}),
        json!({"action": "accept", "content": {"decision": 1}}),
    ] {
        let (questions, output) = run(&mut server, &world, "touch a; echo $?", &response);
        assert_eq!(questions.len(), 1, "{response}");
        assert!(output.starts_with("Execution denied: ") && output.ends_with("1\n"), "{response}: {output}");
        assert!(!world.workdir().join("a").exists(), "{response}");
    }
    let (_, output) = run(&mut server, &world, "touch a; echo $?", &json!({"action": "accept"}));
    assert_eq!(output, "0\n");
}

#[test]
fn an_answer_counts_for_its_own_question_once() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    let id = server.send_request("tools/call", shell(&world, "touch a; touch b; echo $(ls)"));
    let first = server.receive_call();
    assert!(
        first["params"]["message"].as_str().is_some_and(|message| message.contains("touch a")),
        "{first}"
    );
    // Nobody has been asked under these ids, or not yet.
    for other in [json!(77), json!("x"), json!(id), json!(first["id"].as_u64().map(|id| id + 1))] {
        server.respond(&other, &json!({"action": "accept"}));
    }
    server.respond(&first["id"], &json!({"action": "accept"}));
    let second = server.receive_call();
    // The first answer once more: it is not one to the second question.
    server.respond(&first["id"], &json!({"action": "accept"}));
    server.respond(&second["id"], &choose("deny"));
    server.respond(&second["id"], &json!({"action": "accept"}));
    let answer = server.receive_call();
    assert!(output(&answer).ends_with("\na\n"), "{answer}");
}

#[test]
fn a_refusal_faster_than_reading_is_reported_and_the_next_channel_is_asked() {
    let world = World::with_rules(RULES);
    let mut alone = with_forms(&world, "2025-06-18", &[]);
    let (_, output) = run(&mut alone, &world, "touch a", &json!({"action": "decline"}));
    assert!(output.contains("the client declined at once, perhaps without asking anyone"), "{output}");
    assert!(output.contains("default.rules:1") && output.contains("only a person can allow it"), "{output}");
    assert!(!world.workdir().join("a").exists());
    let approver = approver(&world, "echo '{\"decision\": \"once\"}'");
    let mut both = with_forms(&world, "2025-06-18", &["--approval-command", text(&approver)]);
    let (questions, _) = run(&mut both, &world, "touch a", &json!({"action": "decline"}));
    assert_eq!(questions.len(), 1);
    assert!(world.workdir().join("a").exists());
}

#[test]
fn a_command_is_asked_in_a_small_world_of_its_own_and_its_decision_counts() {
    let world = World::with_rules(RULES);
    let folder = world.codex_home();
    let script = "cd \"$(dirname \"$0\")\"; cat > question; env > env; ls /proc/self/fd > fds; ps -o sid= -p $$ > sid; echo $$ > pid
        case \"$(cat question)\" in *'touch yes'*) echo '{\"decision\": \"once\"}';;
        *) echo '{\"decision\": \"deny\", \"reason\": \"by rote\"}';; esac";
    let approver = approver(&world, script);
    let mut server = without_forms(&world, &["--approval-command", text(&approver)]);
    let answer = server.request("tools/call", shell(&world, "touch no; touch yes; ls"));
    assert_eq!(output(&answer), "Execution denied: User declined execution: by rote\nyes\n");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it was written");
    let question: Value = serde_json::from_str(&read("question")).expect("JSON");
    assert_eq!(question["arguments"], json!(["yes"]));
    assert_eq!(question["workdir"], json!(world.workdir()));
    assert_eq!(question["rule"]["line"], json!(1));
    // The second question of the call.
    assert_eq!(
        question["choices"],
        json!(["once", "session", "always", "project:2", "hour:2", "deny", "end"])
    );
    // `ls` opens the folder that it lists.
    assert_eq!(read("fds").split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    assert!(!read("env").contains("CODEX") && read("env").contains("HOME="), "{}", read("env"));
    assert_eq!(read("sid").trim(), read("pid").trim(), "it leads a session of its own");
}

#[test]
fn a_command_that_does_not_decide_has_not_said_yes() {
    let world = World::with_rules(RULES);
    for (script, says) in [
        ("exit 3", "ended with exit code 3"),
        ("echo '{\"decision\": \"once\"}'; exit 1", "ended with exit code 1"),
        ("echo once", "printed no decision as JSON"),
        ("echo '{\"decision\": \"yes\"}'", "printed a decision that there is not"),
        ("echo '{\"decision\": \"once\"}{}'", "printed no decision as JSON"),
        ("exec yes", "printed more than"),
        ("echo '[\"once\", null]'", "printed a decision that there is not"),
        ("echo '{\"decision\": \"once\", \"reason\": 5}'", "printed a decision that there is not"),
        ("echo '{\"decision\": \"deny\", \"decision\": \"once\"}'", "printed no decision as JSON"),
        ("printf '{\"decision\": \"once\"}\\0'", "printed no decision as JSON"),
        ("echo '{\"decision\": \"deny\", \"reason\": 5}'", "User declined execution"),
        ("kill -9 $$", "ended with exit code 137"),
    ] {
        let approver = approver(&world, script);
        let mut server = without_forms(&world, &["--approval-command", text(&approver)]);
        let answer = server.request("tools/call", shell(&world, "touch a"));
        assert!(output(&answer).contains(says), "{script}: {answer}");
        assert!(!world.workdir().join("a").exists(), "{script}");
    }
}

#[test]
fn a_command_has_answered_when_it_has_ended_whatever_it_leaves_running() {
    let world = World::with_rules(RULES);
    let children = "sleep 1000 & echo $! > \"$(dirname \"$0\")/child\"";
    for (script, says) in [
        (format!("{children}; echo '{{\"decision\": \"once\"}}'"), "a\n"),
        (
            format!("cat > /dev/null; {children}; echo '{{\"decision\": \"deny\", \"reason\": \"no\"}}'"),
            "execution: no\n",
        ),
        (format!("{children}; yes | head -c 60000"), "printed no decision"),
        (format!("{children}; exit 7"), "ended with exit code 7"),
    ] {
        let approver = approver(&world, &script);
        let mut server = without_forms(&world, &["--approval-command", text(&approver)]);
        let answer = server.request("tools/call", shell(&world, "touch a; ls"));
        assert!(output(&answer).contains(says), "{script}: {answer}");
        ended(&written(&world.codex_home().join("child")));
        let _ = std::fs::remove_file(world.workdir().join("a"));
    }
}

#[test]
fn a_command_whose_question_is_moot_is_ended_with_its_children() {
    let world = World::with_rules(RULES);
    let approver =
        approver(&world, "cd \"$(dirname \"$0\")\"; sleep 1000 & echo $! > pid.new; mv pid.new pid; wait");
    let mut server = without_forms(&world, &["--approval-command", text(&approver)]);
    let mut call =
        shell(&world, "touch a & while [ ! -e asked ]; do sleep 0.05; done; kill -9 $!; echo over");
    call["arguments"]["timeout_ms"] = json!(60_000);
    let id = server.send_request("tools/call", call);
    let pid = written(&world.codex_home().join("pid"));
    std::fs::write(world.workdir().join("asked"), "").expect("written");
    let answer = server.receive_call();
    assert_eq!((answer["id"].as_u64(), output(&answer)), (Some(id), "over\n"), "{answer}");
    ended(&pid);
}

#[test]
fn a_moot_question_is_withdrawn_from_the_client() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &[]);
    let id = server.send_request(
        "tools/call",
        shell(&world, "touch a & while [ ! -e asked ]; do sleep 0.05; done; kill -9 $!; echo over"),
    );
    let question = server.receive_call();
    std::fs::write(world.workdir().join("asked"), "").expect("written");
    let (mut withdrawn, mut answered) = (false, false);
    while !(withdrawn && answered) {
        let message = server.receive();
        withdrawn |= message["method"] == "notifications/cancelled"
            && message["params"]["requestId"] == question["id"];
        answered |= message["id"] == json!(id);
    }
    // An answer that comes too late changes nothing.
    server.respond(&question["id"], &json!({"action": "accept"}));
    let answer = server.request("tools/call", shell(&world, "ls"));
    assert_eq!(output(&answer), "asked\n");
}

#[test]
fn after_the_end_of_its_call_a_background_process_can_be_asked_about_elsewhere() {
    let world = World::with_rules(RULES);
    let approver = approver(&world, "echo '{\"decision\": \"once\"}'");
    let mut server = with_forms(&world, "2025-06-18", &["--approval-command", text(&approver)]);
    let later = "{ while [ ! -e go ]; do sleep 0.05; done; touch made; } > /dev/null 2>&1 & exit 0";
    let (questions, _) = run(&mut server, &world, later, &choose("deny"));
    assert!(questions.is_empty());
    std::fs::write(world.workdir().join("go"), "").expect("written");
    assert_eq!(written(&world.workdir().join("made")), "");
}

#[test]
fn the_channels_are_those_that_were_named() {
    let world = World::with_rules(RULES);
    let approver = approver(&world, "echo '{\"decision\": \"once\"}'");
    let mut server =
        with_forms(&world, "2025-06-18", &["--approvals", "command", "--approval-command", text(&approver)]);
    let (questions, output) = run(&mut server, &world, "touch a; ls", &choose("deny"));
    assert_eq!((questions.len(), &*output), (0, "a\n"));
    let said = |arguments: &[&str]| end_to_end_tests::lines::run_to_end(&world, arguments);
    for (arguments, words) in [
        (&["--approvals", "phone"][..], "there are client, terminal, command and webhook"),
        (&["--approvals", "command"][..], "no --approval-command"),
        (&["--approvals", "client", "--approval-command", text(&approver)][..], "does not name command"),
        (&["--approval-command", "/no/such/program"][..], "/no/such/program"),
        (&["--approval-timeout", "0"][..], "above 0"),
    ] {
        let (code, words_said) = said(arguments);
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(words_said.contains(words), "{arguments:?}: {words_said}");
    }
}

#[test]
fn an_answer_that_takes_too_long_is_a_no() {
    let world = World::with_rules(RULES);
    let mut server = with_forms(&world, "2025-06-18", &["--approval-timeout", "1"]);
    let id = server.send_request("tools/call", shell(&world, "touch a; echo $?"));
    let question = server.receive_call();
    let answer = server.receive_call();
    assert_eq!(answer["id"], json!(id), "{answer}");
    assert!(
        output(&answer).contains("nobody answered within 1 s") && output(&answer).ends_with("1\n"),
        "{answer}"
    );
    server.respond(&question["id"], &json!({"action": "accept"}));
    assert_eq!(output(&server.request("tools/call", shell(&world, "echo on; ls"))), "on\n");
}
