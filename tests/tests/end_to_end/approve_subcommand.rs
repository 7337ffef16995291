//! `exec-server approve`: a person in a real terminal, or a script, answers what servers ask.

use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZero;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use end_to_end_tests::client::Answer::Accept;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::waiting::{PATIENCE, eventually_async};
use end_to_end_tests::{World, binaries};
use pty_process::blocking::Pty;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const PROMPT: &str = "prefix_rule(pattern=[\"printf\"], decision=\"prompt\", justification=\"it speaks\")\n";

const ROWS: NonZero<u16> = NonZero::new(24).expect("some");
const COLUMNS: NonZero<u16> = NonZero::new(80).expect("some");

/// A terminal of 80 columns and 24 rows in which `exec-server approve` runs.
struct Terminal {
    keys: Pty,
    screen: Arc<Mutex<vt100::Parser>>,
    program: Child,
}

impl Terminal {
    fn start(world: &World, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
        let arguments = [&["approve"], arguments].concat();
        let plan = world.server(&arguments);
        let (keys, inside) = pty_process::blocking::open().expect("a terminal");
        keys.resize(pty_process::Size::new(24, 80)).expect("resized");
        let mut command = pty_process::blocking::Command::new(plan.get_program())
            .args(plan.get_args())
            .env_clear()
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied());
        for (name, value) in plan.get_envs() {
            if let Some(value) = value {
                command = command.env(name, value);
            }
        }
        let program = command.spawn(inside).expect("started");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        // The terminal's own thread: it ends when the program has closed its side.
        let mut output = keys_reader(&keys);
        std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = output.read(&mut buffer) {
                    let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
                    screen.process(&buffer[..length]);
                }
            }
        });
        Terminal { keys, screen, program }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Waits until all of these are on the screen.
    async fn shows(&self, texts: &[&str]) -> String {
        eventually_async(async || {
            let screen = self.text();
            let all = texts.iter().all(|text| screen.contains(text));
            if all { Ok(screen) } else { Err(format!("{texts:?} are not on the screen:\n{screen}")) }
        })
        .await
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
    }

    async fn exit_code(&mut self) -> i32 {
        let status = eventually_async(async || {
            let ended = self.program.try_wait().expect("waited for");
            ended.ok_or_else(|| format!("it does not end:\n{}", self.text()))
        });
        status.await.code().expect("an exit code")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn keys_reader(pty: &Pty) -> std::fs::File {
    use std::os::fd::AsFd;
    pty.as_fd().try_clone_to_owned().expect("a descriptor").into()
}

/// The keys that answer, as they are shown once a question may be answered.
const KEYS: &str = "o once  s session  a always…  d deny…  ";

#[tokio::test]
async fn a_person_in_a_terminal_answers_for_a_client_that_cannot_ask() {
    let world = World::with_rules(PROMPT);
    let mut terminal = Terminal::start(&world, &[], &[]);
    terminal.shows(&["No server is running"]).await;
    let client = Client::start(&world, &Person::absent()).await;
    terminal.shows(&["0 questions, 1 server", "Waiting for questions"]).await;

    let run = client.run("/usr/bin/printf \"$(printf 'a\\033[2Jb')\"; echo $?");
    let answer = async {
        let workdir = world.workdir();
        let screen = terminal
            .shows(&[
                "1 question, 1 server",
                // What would clear the screen is written out.
                "Run      /usr/bin/printf 'a\\u{1b}[2Jb'",
                "Reason   it speaks",
                "Rule     ",
                "Note     A yes runs it outside the sandbox, with your rights.",
                "Before   this program was not approved before",
                "Always   would add: prefix_rule(pattern=[\"/usr/bin/printf\", ",
                KEYS,
            ])
            .await;
        let folder = workdir.file_name().expect("a name").to_str().expect("UTF-8");
        assert!(screen.contains(folder), "{screen}");
        terminal.press("o");
        terminal.shows(&["Allowed once: "]).await
    };
    let (outcome, _) = tokio::join!(run, answer);
    // What moves the cursor is taken out of output.
    assert_eq!(outcome.ran(), (0, "ab0\n"));

    let run = client.run("/usr/bin/printf no; echo $?");
    let answer = async {
        terminal.shows(&["Before   removed: 'a\\u{1b}[2Jb' added: no  approved 20", KEYS]).await;
        terminal.press("d");
        terminal.shows(&["Deny, because:"]).await;
        terminal.press("not today\r");
    };
    let (outcome, ()) = tokio::join!(run, answer);
    assert!(
        outcome.ran().1.contains("declined execution") && outcome.ran().1.contains("not today"),
        "{outcome:?}"
    );

    terminal.press("q");
    assert_eq!(terminal.exit_code().await, 0);
    let outcome = client.run("/usr/bin/printf y").await;
    let server = binaries().join("exec-server").display().to_string();
    let server = if server.contains(' ') { format!("'{server}'") } else { server };
    let names = format!("(run `{server} approve` in another terminal)");
    assert!(outcome.ran().1.contains(&names), "{outcome:?}");
}

/// Whoever has the view open has not to know when a server starts.
#[tokio::test]
async fn the_first_question_of_a_new_server_reaches_a_view_that_is_open() {
    let world = World::with_rules(PROMPT);
    let mut terminal = Terminal::start(&world, &[], &[]);
    terminal.shows(&["No server is running"]).await;
    let run = async {
        let client = Client::start(&world, &Person::absent()).await;
        client.run("/usr/bin/printf asked").await
    };
    let answer = async {
        terminal.shows(&["1 question, 1 server", KEYS]).await;
        terminal.press("o");
    };
    let (outcome, ()) = tokio::join!(run, answer);
    assert_eq!(outcome.ran(), (0, "asked"));
}

#[tokio::test]
async fn a_question_ends_when_its_last_view_was_left_and_nobody_else_can_answer() {
    let world = World::with_rules(PROMPT);
    let mut terminal = Terminal::start(&world, &[], &[]);
    let client = Client::start(&world, &Person::absent()).await;
    terminal.shows(&["1 server"]).await;
    let run = client.run_within("/usr/bin/printf asked", PATIENCE);
    let leave = async {
        terminal.shows(&["1 question, 1 server", KEYS]).await;
        terminal.press("q");
        terminal.shows(&["1 question is open. Leave them unanswered?"]).await;
        terminal.press("q");
    };
    let (outcome, ()) = tokio::join!(run, leave);
    assert!(outcome.ran().1.contains("no terminal is attached"), "{outcome:?}");
}

#[tokio::test]
async fn session_and_always_hold_and_the_rule_is_shown_as_it_is_written() {
    let world = World::with_rules(PROMPT);
    let mut terminal = Terminal::start(&world, &["--no-animations"], &[("NO_COLOR", "1")]);
    let client = Client::start(&world, &Person::absent()).await;
    terminal.shows(&["1 server"]).await;
    let run = client.run("/usr/bin/printf 1; /usr/bin/printf 1");
    let answer = async {
        terminal.shows(&["> /usr/bin/printf 1", KEYS]).await;
        terminal.press("s");
    };
    let (outcome, ()) = tokio::join!(run, answer);
    assert_eq!(outcome.ran(), (0, "11"));

    let run = client.run("/usr/bin/printf 2; /usr/bin/printf 2");
    let answer = async {
        terminal.shows(&["printf 2", KEYS]).await;
        terminal.press("a");
        terminal.shows(&["Add this rule?"]).await;
        terminal.press("\x1b");
        terminal.shows(&[KEYS]).await;
        terminal.press("a");
        terminal.shows(&["Add this rule?"]).await;
        let screen = terminal.text();
        terminal.press("\r");
        screen
    };
    let (outcome, screen) = tokio::join!(run, answer);
    assert_eq!(outcome.ran(), (0, "22"));
    let rules = std::fs::read_to_string(world.answers_file()).expect("rules");
    let rule = rules.lines().last().expect("a rule");
    assert!(rule.contains("\"2\""), "{rules}");
    // The screen breaks lines at its edge.
    let unbroken: String = screen.lines().map(|line| line.trim_matches(['│', ' '])).collect();
    let squeezed = |text: &str| text.replace(' ', "");
    assert!(squeezed(&unbroken).contains(&squeezed(rule)), "{rule}\nis not in\n{screen}");
    let parser = terminal.screen.lock().unwrap_or_else(PoisonError::into_inner);
    for (row, column) in (0..24).flat_map(|row| (0..80).map(move |column| (row, column))) {
        let cell = parser.screen().cell(row, column).expect("a cell");
        assert_eq!(cell.fgcolor(), vt100::Color::Default, "row {row}, column {column}");
    }
}

#[tokio::test]
async fn the_rule_is_shortened_by_a_key_and_written_as_it_was_shown() {
    let world = World::with_rules(PROMPT);
    let mut terminal = Terminal::start(&world, &["--no-animations"], &[("NO_COLOR", "1")]);
    let client = Client::start(&world, &Person::absent()).await;
    terminal.shows(&["1 server"]).await;
    let run = client.run("/usr/bin/printf '%s\n' a b; /usr/bin/printf '%s\n' c");
    let answer = async {
        terminal.shows(&["printf '%s\\n' a b", "a shorter", KEYS]).await;
        terminal.press("a");
        terminal.shows(&["Adds     prefix_rule(", "← next, → back (rule 1 of 6, the longest)"]).await;
        terminal.press("\x1b[D");
        terminal.shows(&["starts with: /usr/bin/printf '%s\\n' a", "(rule 2 of 6)"]).await;
        terminal.press("\x1b[D");
        terminal.shows(&["(rule 3 of 6)"]).await;
        let screen = terminal.text();
        terminal.press("\r");
        screen
    };
    let (outcome, screen) = tokio::join!(run, answer);
    assert_eq!(outcome.ran(), (0, "a\nb\nc\n"));
    let rules = std::fs::read_to_string(world.answers_file()).expect("rules");
    let rule = rules.lines().last().expect("a rule");
    assert!(rule.contains("[\"/usr/bin/printf\", \"%s\\n\"]"), "{rules}");
    let unbroken: String = screen.lines().map(|line| line.trim_matches(['│', ' '])).collect();
    let squeezed = |text: &str| text.replace(' ', "");
    assert!(
        squeezed(&unbroken).contains(&squeezed(&format!("Adds {rule}Allows"))),
        "{rule}\nis not in\n{screen}"
    );
}

#[tokio::test]
async fn questions_of_several_servers_are_listed_and_moot_ones_go() {
    let world = World::with_rules(PROMPT);
    let person = Person::absent();
    let (first, second) = tokio::join!(Client::start(&world, &person), Client::start(&world, &person));
    let mut terminal = Terminal::start(&world, &[], &[]);
    terminal.shows(&["2 servers"]).await;
    // The colours' twin to NO_COLOR above comes with the first question.
    let both = async {
        tokio::join!(
            first.run("/usr/bin/printf first"),
            second.run_within(
                "/usr/bin/printf second & while [ ! -e go ]; do sleep 0.05; done; kill $!; wait $!; echo gone",
                PATIENCE
            )
        )
    };
    let answer = async {
        terminal.shows(&["2 questions, 2 servers", "printf first", "printf second", KEYS]).await;
        let coloured = {
            let parser = terminal.screen.lock().unwrap_or_else(PoisonError::into_inner);
            (0..24).flat_map(|row| (0..80).map(move |column| (row, column))).any(|(row, column)| {
                parser.screen().cell(row, column).is_some_and(|cell| cell.fgcolor() != vt100::Color::Default)
            })
        };
        assert!(coloured);
        std::fs::write(world.workdir().join("go"), "").expect("written");
        // The second server's question goes by itself; the first one's stays.
        terminal.shows(&["1 question, 2 servers", "> ", "printf first"]).await;
        terminal.shows(&[KEYS]).await;
        terminal.press("o");
    };
    let ((one, other), ()) = tokio::join!(both, answer);
    assert_eq!(one.ran(), (0, "first"));
    assert!(other.ran().1.ends_with("gone\n"), "{other:?}");
    drop(first);
    terminal.shows(&["0 questions, 1 server"]).await;
}

#[tokio::test]
async fn without_a_terminal_it_fails_at_once_with_its_own_code_and_says_why() {
    let world = World::with_rules("");
    for (input, output) in [(Stdio::null(), Stdio::piped()), (Stdio::piped(), Stdio::piped())] {
        let mut command = world.server(&["approve"]);
        let output =
            command.stdin(input).stdout(output).stderr(Stdio::piped()).output().expect("exec-server");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(error.contains("must be a terminal") && error.contains("--json"), "{error}");
        assert!(output.stdout.is_empty());
    }
}

/// `exec-server approve --json`.
struct Script {
    program: Child,
    answers: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<Value>,
}

impl Script {
    fn start(world: &World) -> Script {
        let mut command: Command = world.server(&["approve", "--json"]);
        let mut program =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("exec-server starts");
        let output = BufReader::new(program.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { break };
                let _ = sender.send(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        let answers = program.stdin.take();
        Script { program, answers, lines }
    }

    /// The next line of this event.
    async fn hear(&mut self, event: &str) -> Value {
        let next = async {
            loop {
                let line = self.lines.recv().await.expect("it goes on");
                if line["event"] == event {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.unwrap_or_else(|_| panic!("no {event}"))
    }

    fn say(&mut self, line: &Value) {
        writeln!(self.answers.as_mut().expect("open"), "{line}").expect("said");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[tokio::test]
async fn a_script_answers_and_what_is_no_answer_counts_for_nothing() {
    let world = World::with_rules(PROMPT);
    let mut script = Script::start(&world);
    let client = Client::start(&world, &Person::absent()).await;
    let server = script.hear("server").await;
    assert_eq!(server["folder"], world.workdir().to_str().expect("UTF-8"));
    let run = client.run("/usr/bin/printf 'one\\n'; /usr/bin/printf two || echo refused");
    let answers = async {
        let question = script.hear("question").await;
        assert_eq!(question["arguments"], json!(["one\\n"]));
        assert_eq!(question["choices"], json!(["once", "session", "always", "project:2", "hour:2", "deny"]));
        assert_eq!(question["why"], "it speaks");
        let rule = &question["rules"][0];
        assert_eq!((&rule["decision"], &rule["rule"]), (&json!("always"), &question["always"]));
        let name = &question["question"];
        for bad in [
            json!({"question": name, "decision": "yes"}),
            json!({"question": name, "decision": "always:1"}),
            json!({"question": "7:q7", "decision": "once"}),
            json!("once"),
        ] {
            script.say(&bad);
            script.hear("error").await;
        }
        script.say(&json!({"question": name, "decision": "once"}));
        assert_eq!(&script.hear("closed").await["question"], name);
        script.say(&json!({"question": name, "decision": "once"}));
        script.hear("error").await;
        let question = script.hear("question").await;
        let deny = json!({"question": question["question"], "decision": "deny", "reason": "one is enough"});
        script.say(&deny);
    };
    let (outcome, ()) = tokio::join!(run, answers);
    let (_, output) = outcome.ran();
    assert!(output.starts_with("one\n") && output.ends_with("refused\n"), "{output}");
    assert!(output.contains("one is enough"), "{output}");
    drop(script.answers.take());
    assert_eq!(script.program.wait().expect("waited for").code(), Some(0));
}

#[tokio::test]
async fn a_client_and_a_terminal_are_asked_together_and_the_first_answer_counts() {
    let world = World::with_rules(PROMPT);
    let mut script = Script::start(&world);
    let person = Person::answering([Accept]).when_told();
    let client = Client::start(&world, &person).await;
    script.hear("server").await;
    let (outcome, ()) = tokio::join!(client.run("/usr/bin/printf client"), async {
        let question = script.hear("question").await;
        person.tell();
        assert_eq!(script.hear("closed").await["question"], question["question"]);
    });
    assert_eq!(outcome.ran(), (0, "client"));

    let patient = Person::answering([Accept]).when_told();
    let client = Client::start(&world, &patient).await;
    script.hear("server").await;
    let (outcome, ()) = tokio::join!(client.run("/usr/bin/printf script"), async {
        let question = script.hear("question").await;
        script.say(&json!({"question": question["question"], "decision": "once"}));
    });
    assert_eq!(outcome.ran(), (0, "script"));
    assert_eq!(patient.asked().len(), 1);
}
