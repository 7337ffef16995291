//! What changes while a person thinks: the file that was asked about (BYPASSES 58), and the arguments in the memory of
//! the process that asked (57).

use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::written;
use end_to_end_tests::word;
use serde_json::{Value, json};

use crate::place::{EVERY, Form, Place, User};

const RULES: &str =
    "prefix_rule([\"asked\"], decision=\"prompt\")\nprefix_rule([\"mkdir\"], decision=\"prompt\")\n";

/// A server whose client can ask a person.
struct Asking {
    server: Lines,
    place: Place,
}

impl Asking {
    fn of(user: User, form: Form, arguments: &[&str]) -> Option<Asking> {
        let place = Place::of(user, form, RULES)?;
        if !place.start(arguments).is_possible() {
            return None;
        }
        let mut command = place.command(&place.server_program());
        command.args(arguments).stderr(std::process::Stdio::null());
        let mut server = Lines::start_command(command);
        server.initialize_as("2025-06-18", &json!({"elicitation": {}}));
        Some(Asking { server, place })
    }

    /// Runs a command that asks one question; while it is open, `go` appears, and only after `done` is there the answer
    /// is yes.
    fn run(&mut self, command: &str) -> Value {
        let workdir = self.place.world.workdir();
        let [go, done] = ["go", "done"].map(|name| workdir.join(name));
        let arguments = json!({"command": command, "workdir": workdir, "login": false});
        self.server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
        let question = self.server.receive_call();
        assert_eq!(question["method"], "elicitation/create", "{question}");
        std::fs::write(&go, "").expect("a file");
        assert_eq!(written(&done), "");
        self.server.respond(&question["id"], &json!({"action": "accept", "content": {}}));
        let answer = self.server.receive_call();
        for file in [go, done] {
            std::fs::remove_file(file).expect("it is there");
        }
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        serde_json::from_str(text).unwrap_or(answer)
    }
}

#[test]
fn a_file_swapped_while_the_question_is_open_does_not_run() {
    for (user, form) in EVERY {
        let Some(mut asking) = Asking::of(user, form, &[]) else { continue };
        for (swap, is_the_same) in [
            (":", true),
            ("mv second asked", false),
            ("cat second > asked", false),
            ("ln -sf second asked", false),
        ] {
            let result = asking.run(&format!(
                "printf '#!/bin/sh\\necho first\\n' > asked; printf '#!/bin/sh\\necho second\\n' > second
                 chmod +x asked second
                 (until [ -e go ]; do sleep 0.02; done; {swap}; echo > done) & ./asked; code=$?; wait; exit $code"
            ));
            let output = result["output"].as_str().unwrap_or_default();
            if is_the_same {
                assert_eq!((&result["exit_code"], output), (&json!(0), "first\n"), "the twin: {result}");
                continue;
            }
            assert!(
                result["exit_code"] != 0
                    && (output.contains("is not the one that was judged")
                        || output.contains("has changed while")),
                "{user:?}, {form:?}: {swap}: {result}"
            );
            assert!(!output.contains("second\n"), "{result}");
        }
    }
}

/// Overwrites the last argument of the process `$pid`, and says what it finds there then.
const OVERWRITE: &str = r#"
    mapfile -d '' arguments < /proc/$pid/cmdline
    read -ra fields < /proc/$pid/stat
    at=${fields[47]}
    for argument in "${arguments[@]:0:${#arguments[@]}-1}"; do at=$((at + ${#argument} + 1)); done
    last=${arguments[-1]}
    printf %s "${last/approved/replaced}" | dd of=/proc/$pid/mem bs=1 seek=$at conv=notrunc 2> said || cat said
    mapfile -d '' arguments < /proc/$pid/cmdline
    echo "now ${arguments[-1]}"
"#;

/// In the sandbox nobody can write another process's memory. Without one they can, and it changes nothing: what runs
/// are the server's own copies of the arguments that it has judged.
#[test]
fn arguments_overwritten_while_the_question_is_open_do_not_count_outside() {
    let free: &[&str] = &["--sandbox", "danger-full-access"];
    let every = EVERY.map(|(user, form)| (user, form, &[][..]));
    let without = [User::Root, User::Ordinary].map(|user| (user, Form::Landlock, free));
    for (user, form, sandbox) in every.into_iter().chain(without) {
        let Some(mut asking) = Asking::of(user, form, sandbox) else { continue };
        let [approved, replaced] = ["approved", "replaced"].map(|name| asking.place.outside.join(name));
        for attack in ["", OVERWRITE] {
            let result = asking.run(&format!(
                "mkdir {} & pid=$!\nuntil [ -e go ]; do sleep 0.02; done\n{attack}\necho > done; wait $pid",
                word(&approved)
            ));
            assert!(!replaced.exists(), "{user:?}, {form:?}: what was not judged ran: {result}");
            assert!(std::fs::remove_dir(&approved).is_ok(), "what was judged did not run: {result}");
            assert_eq!(result["decisions"][0]["decision"], "approved_escalated", "{result}");
            let output = result["output"].as_str().unwrap_or_default();
            let says = |words: &str| output.contains(words);
            if attack.is_empty() {
                assert_eq!(output, "", "the twin: {result}");
            } else if sandbox.is_empty() {
                assert!(says("Read-only file system") || says("Permission denied"), "{result}");
            } else if may_trace_others() {
                assert!(says("/outside/replaced\n"), "it was not overwritten: {result}");
            }
        }
    }
}

/// Whether the kernel lets a user's process into another one of the same user (Yama).
fn may_trace_others() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    scope.map_or(true, |scope| scope.trim() == "0")
}

/// The words of a question, and its choices.
fn words_and_choices(question: &Value) -> (String, Vec<String>) {
    let words = question["params"]["message"].as_str().unwrap_or_default().to_owned();
    let choices = question["params"]["requestedSchema"]["properties"]["decision"]["enum"].as_array();
    let choices = choices.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    (words, choices.collect())
}

impl Asking {
    /// Runs a command, and answers its questions in turn; returns them, and the result.
    fn ask(&mut self, command: &str, answers: &[&str]) -> (Vec<(String, Vec<String>)>, Value) {
        let workdir = self.place.world.workdir();
        let arguments = json!({"command": command, "workdir": workdir, "login": false});
        self.server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
        let mut asked = Vec::new();
        loop {
            let said = self.server.receive_call();
            if said["method"] != "elicitation/create" {
                let text = said["result"]["content"][0]["text"].as_str().unwrap_or_default();
                return (asked, serde_json::from_str(text).unwrap_or(said));
            }
            let decision = answers.get(asked.len()).copied().unwrap_or("deny");
            asked.push(words_and_choices(&said));
            self.server.respond(&said["id"], &json!({"action": "accept", "content": {"decision": decision}}));
        }
    }
}

/// A yes for the session is one to what was read, and what a program reads is another thing each time.
#[test]
fn no_yes_for_the_session_covers_what_a_program_reads() {
    for (user, form) in EVERY {
        let Some(mut asking) = Asking::of(user, form, &[]) else { continue };
        let out = word(&asking.place.outside);
        for (command, said) in [
            (format!("mkdir {out}/a"), ""),
            (format!("mkdir {out}/a < /dev/null"), ""),
            (format!("echo x | mkdir {out}/a"), "reads input from the command"),
            (format!("mkdir {out}/a < file"), "reads input from the command"),
            (format!("mkdir {out}/a file"), "`file`, which commands can write"),
            (format!("mkdir {out}/a --mode=file"), "`file`, which commands can write"),
            (format!("mkdir {out}/a @file"), "`file`, which commands can write"),
            (format!("mkdir {out}/a -mfile"), "`file`, which commands can write"),
        ] {
            let (asked, result) = asking.ask(&command, &["deny"]);
            let (words, choices) = asked.first().unwrap_or_else(|| panic!("no question: {result}"));
            assert!(words.contains(said), "{user:?}, {form:?}: {command}: {words}");
            let offers_session = choices.iter().any(|choice| choice == "session");
            // With Landlock alone nothing holds it outside, so a yes is to all rights, and to one program.
            let may_last = said.is_empty() && matches!(form, Form::Namespaces);
            assert_eq!(offers_session, may_last, "{user:?}, {form:?}: {command}: {choices:?}: {words}");
        }
    }
}

/// Nobody is worn down: after five noes the rest is refused, and one answer ends the call.
#[test]
fn a_flood_of_questions_from_one_call_ends() {
    for (user, form) in [(User::Ordinary, Form::Namespaces), (User::Ordinary, Form::Landlock)] {
        let Some(mut asking) = Asking::of(user, form, &[]) else { continue };
        let out = word(&asking.place.outside);
        let flood = format!("for i in {{1..40}}; do mkdir {out}/$i; done; echo over");
        let (asked, result) = asking.ask(&flood, &["once", "deny", "deny", "deny", "deny", "deny"]);
        assert_eq!(asked.len(), 6, "{user:?}, {form:?}: {result}");
        assert!(
            result["output"].as_str().unwrap_or_default().contains("5 questions of this call"),
            "{result}"
        );
        let offers_end = |place: usize| asked[place].1.iter().any(|choice| choice == "end");
        assert!(!offers_end(0) && offers_end(1) && offers_end(5), "{asked:?}");
        let (asked, result) = asking.ask(&flood, &["deny", "end"]);
        let output = result["output"].as_str().unwrap_or_default();
        assert!(asked.len() == 2 && !output.contains("over"), "{user:?}, {form:?}: {result}");
        assert_eq!(result["status"], "cancelled", "{result}");
    }
}

/// What a client shows as Markdown neither loads nor hides anything, and what looks like something else is written out.
#[test]
fn nothing_in_a_question_is_markdown_or_taken_for_something_else() {
    let Some(mut asking) = Asking::of(User::Ordinary, Form::Namespaces, &[]) else { return };
    let picture = "![x](http://localhost/)";
    for (command, shown) in [
        ("mkdir 'a`'".to_owned(), "`` /usr/bin/mkdir 'a`' ``".to_owned()),
        (format!("mkdir '``` {picture}'"), format!("```` /usr/bin/mkdir '``` {picture}' ````")),
        // A value that names a place, as an address does, does not arrive.
        (format!("NO_COLOR='{picture}' mkdir x"), "will not get: NO_COLOR\n".to_owned()),
        ("NO_COLOR='![x](y)' mkdir x".to_owned(), "gets: `NO_COLOR='![x]".to_owned()),
        ("CI='![x](y)' FORCE_COLOR='1 CI=2' mkdir x".to_owned(), "gets: `CI='![x]".to_owned()),
        ("FORCE_COLOR='1 CI=2' mkdir x".to_owned(), "gets: FORCE_COLOR='1 CI=2'\n".to_owned()),
        ("mkdir p\u{430}ypal".to_owned(), "p\\u{430}ypal".to_owned()),
        ("for i in {1..30}; do export V$i=1; done; mkdir x".to_owned(), ", and 10 more\n".to_owned()),
    ] {
        let (asked, result) = asking.ask(&command, &["deny"]);
        let words = asked.first().map_or_else(|| result.to_string(), |(words, _)| words.clone() + "\n");
        assert!(words.contains(&shown), "{command}: {words}");
    }
}
