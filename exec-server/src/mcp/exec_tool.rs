//! `exec_command` and `write_stdin`: commands that go on, with the names, defaults and limits of Codex, which models know.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::encoding::with_output_schema;
use super::exec_result::ExecResult;
use super::permissions;
use super::publish;
use super::result::ResultContext;
use super::schema::object;
use super::session_argument;
use super::shell_tool::ShellArguments;
use super::waits;
use super::workdir::WorkdirBase;
use shell_engine::config::{DEFAULT_TOKENS, Limits, MAX_TOKENS, ResultFormat};
use shell_engine::output::Presentation;
use shell_engine::shell::{CallRequest, Input, RequestError, Session, Sessions, TerminalSize};

/// The name of the tool that starts a command.
pub(super) const EXEC: &str = "exec_command";

/// The name of the tool that writes to one, or asks for more of it.
pub(super) const WRITE: &str = "write_stdin";

/// How long `exec_command` waits when nothing is said.
const EXEC_WAIT: Duration = Duration::from_secs(10);

/// How long `write_stdin` waits when nothing is said: after writing, and when it only asks.
const WRITE_WAIT: Duration = Duration::from_millis(250);
const POLL_WAIT: Duration = Duration::from_millis(*waits::POLL.start());

/// The most that can be written at once, in bytes.
const MAX_CHARS: usize = 10 << 20;

/// Describes both tools.
pub(super) fn describe(format: ResultFormat) -> [Tool; 2] {
    let hints = |title: &str| {
        ToolAnnotations::with_title(title)
            .read_only(false)
            .destructive(true)
            .idempotent(false)
            .open_world(true)
    };
    let tokens = json!({"type": "integer", "minimum": 0, "maximum": MAX_TOKENS});
    let size = json!({"type": "integer"});
    let screen = json!({"type": "boolean", "description": "With tty: `output` is the screen."});
    let mut exec = json!({
        "type": "object",
        "properties": {
            "cmd": {"type": "string", "description": "Shell command to execute."},
            "workdir": {"type": "string", "description": "Defaults to the workspace."},
            "shell": {"type": "string", "description": "Defaults to bash."},
            "login": {"type": "boolean", "description": "Defaults to true."},
            "tty": {"type": "boolean", "description": "Give it a terminal. Defaults to false."},
            "stdin": {"type": "boolean", "description": "Keep stdin open without tty."},
            "yield_time_ms": {
                "type": "integer",
                "description": "Wait so long for its end (250 to 30000). Defaults to 10000."
            },
            "rows": size, "cols": size, "screen": screen,
            "record": {"type": "boolean", "description": "With tty: keep a recording (asciicast)."},
            "max_output_tokens": tokens
        },
        "required": ["cmd"]
    });
    if let Some(properties) = exec["properties"].as_object_mut() {
        properties.extend(permissions::properties());
        properties.extend([publish::property(None)]);
    }

    let write = object(json!({
        "type": "object",
        "properties": {
            "session_id": {"type": "integer"},
            "chars": {"type": "string", "description": "What to write; empty only asks for more output."},
            "keys": {"type": "string", "description": "With tty: keys by name: ihi<Esc>:wq<Enter>, <C-c>, <Up>"},
            "paste": {"type": "boolean", "description": "With tty: pasted, not typed."},
            "rows": size, "cols": size, "screen": screen,
            "yield_time_ms": {
                "type": "integer",
                "description": "How long to wait: after writing 250 to 30000, else 5000 to 300000."
            },
            "max_output_tokens": tokens
        },
        "required": ["session_id"]
    }));
    let exec = Tool::new(
        EXEC,
        "Runs a command; returns its output and `exit_code`, or a `session_id` while it runs.",
        object(exec),
    );
    let write = Tool::new(
        WRITE,
        "Writes to a session; returns what it printed since, and its `exit_code` once it has ended. \
            \"\\u0003\" interrupts it.",
        write,
    );
    [
        with_output_schema::<ExecResult>(
            exec.with_title("Run command").with_annotations(hints("Run command")),
            format,
        ),
        with_output_schema::<ExecResult>(
            write.with_title("Write to command").with_annotations(hints("Write to command")),
            format,
        ),
    ]
}

const EXEC_KNOWN: &[&str] = &[
    "cmd",
    "workdir",
    "shell",
    "login",
    "tty",
    "stdin",
    "rows",
    "cols",
    "screen",
    "record",
    waits::YIELD,
    "max_output_tokens",
    "sandbox_permissions",
    "additional_permissions",
    "justification",
    publish::NAME,
];

const WRITE_KNOWN: &[&str] =
    &["session_id", "chars", "keys", "paste", "rows", "cols", "screen", waits::YIELD, "max_output_tokens"];

/// Reads the arguments of `exec_command`.
pub(super) fn read(
    given: Option<&JsonObject>,
    limits: &Limits,
    base: &WorkdirBase,
) -> Result<ShellArguments, ArgumentError> {
    let arguments = Arguments::new(given);
    let command = arguments.required("cmd", &json!({"cmd": "ls -l"}))?;
    let mut notes: Vec<String> = arguments.unknown(EXEC_KNOWN).into_iter().collect();
    let workdir = base.workdir(arguments.text("workdir", "/home/user/project")?);
    notes.extend(workdir.note);
    let wait = waits::read(arguments, &waits::SHORT, &mut notes)?.unwrap_or(EXEC_WAIT);
    let login = arguments.flag("login")?.unwrap_or(true);
    let size = size(arguments, TerminalSize::default())?;
    let input = match (arguments.flag("tty")?.unwrap_or(false), arguments.flag("stdin")?.unwrap_or(false)) {
        (true, _) => Input::Terminal(size.unwrap_or_default()),
        (false, true) => Input::Written,
        (false, false) => Input::Nothing,
    };
    let screen = arguments.flag("screen")?.unwrap_or(false);
    let record = arguments.flag("record")?.unwrap_or(false);
    let is_terminal = matches!(input, Input::Terminal(_));
    if !is_terminal && (screen || record || size.is_some()) {
        let words = "rows, cols, screen and record are for commands with tty=true, so they changed nothing";
        notes.push(words.to_owned());
    }
    let shell = arguments.text("shell", "/bin/bash")?.filter(|shell| !shell.is_empty());
    let (code, login) = in_shell(command, shell, login)?;
    let request = CallRequest::new(code, workdir.folder, Duration::MAX, login).map_err(of_cmd)?;
    let request = request.without_timeout().with_input(input).asking_for(permissions::read(given)?);
    let request = request.publishing(publish::read(given)?);
    let presentation = presentation(arguments, limits)?;
    let shown = ResultContext {
        presentation,
        timeout: Duration::MAX,
        notes,
        session: None,
        screen,
        record: record && is_terminal,
    };
    if is_bash(command) && matches!(input, Input::Nothing) {
        // A shell that would have nothing to read: it is wanted for what is written to it.
        let request = request.with_input(Input::Commands);
        return Ok(ShellArguments { request, shown, wait: Some(Duration::ZERO), first: None });
    }
    Ok(ShellArguments { request, shown, wait: Some(wait), first: None })
}

/// What is wrong with a request, in the words of this tool.
fn of_cmd(error: RequestError) -> ArgumentError {
    match error {
        RequestError::EmptyCommand
        | RequestError::NulInCommand { .. }
        | RequestError::CommandTooLong { .. } => ArgumentError::Cmd(error),
        RequestError::RelativeWorkdir(_)
        | RequestError::Workdir(..)
        | RequestError::NoPatches(_)
        | RequestError::NotAFolder(_) => ArgumentError::Request(error),
    }
}

/// Whether a command is nothing but a shell of our kind.
fn is_bash(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let program = words.next().and_then(|program| program.rsplit('/').next());
    program == Some("bash") && words.all(|word| matches!(word, "-l" | "--login" | "--norc" | "--noprofile"))
}

/// The command for our Bash: any other shell is a program like all that it runs, judged when it is executed.
fn in_shell(command: &str, shell: Option<&str>, login: bool) -> Result<(String, bool), ArgumentError> {
    let Some(shell) = shell.filter(|shell| Path::new(shell).file_name() != Some(OsStr::new("bash"))) else {
        return Ok((command.to_owned(), login));
    };
    let options = if login { "-lc" } else { "-c" };
    match shlex::try_join([shell, options, command]) {
        Ok(joined) => Ok((format!("exec {joined}"), false)),
        Err(_) => Err(wrong("cmd", "text without NUL characters", &command.into(), &json!({"cmd": "ls -l"}))),
    }
}

/// What is wanted of a session.
pub(super) struct WriteArguments {
    pub(super) session: Arc<Session>,
    /// What is to be written; nothing, if only output is wanted.
    pub(super) chars: String,
    pub(super) means: Means,
    /// The terminal gets this size.
    pub(super) size: Option<TerminalSize>,
    pub(super) wait: Duration,
    pub(super) shown: ResultContext,
}

/// How something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// It is typed, or written as it is.
    Chars,
    /// As keys by their names.
    Keys,
    /// It is pasted.
    Paste,
}

/// Reads the arguments of `write_stdin`.
pub(super) fn read_write(
    given: Option<&JsonObject>,
    limits: &Limits,
    sessions: &Sessions,
) -> Result<WriteArguments, ArgumentError> {
    let arguments = Arguments::new(given);
    let session = session_argument::required(arguments, sessions)?;
    let (means, given) = match (arguments.text("keys", "<C-c>")?, arguments.flag("paste")?) {
        (Some(keys), _) => (Means::Keys, Some(keys)),
        (None, Some(true)) => (Means::Paste, arguments.text("chars", "yes\n")?),
        (None, Some(false) | None) => (Means::Chars, arguments.text("chars", "yes\n")?),
    };
    let chars = given.unwrap_or_default().to_owned();
    if chars.len() > MAX_CHARS {
        let expected = format!("at most {MAX_CHARS} bytes, and it has {}", chars.len());
        return Err(wrong("chars", expected, &"…".into(), &json!({"chars": "yes\n"})));
    }
    let mut notes: Vec<String> = arguments.unknown(WRITE_KNOWN).into_iter().collect();
    let now = session.call().screen().map(|screen| screen.size).unwrap_or_default();
    let size = size(arguments, now)?;
    let screen = arguments.flag("screen")?.unwrap_or(false);
    if !session.has_terminal() && (means != Means::Chars || size.is_some() || screen) {
        let example = json!({"cmd": "vim notes.txt", "tty": true});
        let expected = "left out: this session has no terminal";
        let name = match (means, size) {
            (Means::Keys, _) => "keys",
            (Means::Paste, _) => "paste",
            (Means::Chars, Some(_)) => "rows",
            (Means::Chars, None) => "screen",
        };
        return Err(wrong(name, expected, &chars.into(), &example));
    }
    let (range, default) = if chars.is_empty() && size.is_none() && !screen {
        (waits::POLL, POLL_WAIT)
    } else {
        (waits::SHORT, WRITE_WAIT)
    };
    let wait = waits::read(arguments, &range, &mut notes)?.unwrap_or(default);
    let presentation = presentation(arguments, limits)?;
    Ok(WriteArguments {
        session,
        chars,
        means,
        size,
        wait,
        shown: ResultContext {
            presentation,
            timeout: Duration::MAX,
            notes,
            session: None,
            screen,
            record: false,
        },
    })
}

/// The size that is wanted of a terminal which has this one.
fn size(arguments: Arguments<'_>, now: TerminalSize) -> Result<Option<TerminalSize>, ArgumentError> {
    let rows = arguments.number("rows", "rows", u64::MAX, 24)?;
    let columns = arguments.number("cols", "columns", u64::MAX, 80)?;
    if rows.is_none() && columns.is_none() {
        return Ok(None);
    }
    let (rows, columns) = (rows.unwrap_or(now.rows().into()), columns.unwrap_or(now.columns().into()));
    let size = TerminalSize::new(rows, columns);
    size.map(Some).map_err(|error| {
        let example = json!({"rows": 24, "cols": 80});
        let given = json!({"rows": rows, "cols": columns});
        wrong("rows and cols", format!("possible ({error})"), &given, &example)
    })
}

fn presentation(arguments: Arguments<'_>, limits: &Limits) -> Result<Presentation, ArgumentError> {
    let tokens = arguments.number("max_output_tokens", "tokens", MAX_TOKENS, DEFAULT_TOKENS)?;
    Ok(Presentation::of_tokens(tokens.unwrap_or(limits.output_tokens), true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::workdir::ToldWorkdir;
    use serde_json::Value;

    fn understood(arguments: &Value) -> Result<ShellArguments, ArgumentError> {
        let base = WorkdirBase::new("/".into(), None, ToldWorkdir::default());
        read(arguments.as_object(), &Limits::default(), &base)
    }

    #[test]
    fn waits_are_brought_into_their_limits_with_a_note() {
        for (given, wait, notes) in [
            (json!({"cmd": "true", "workdir": "/"}), 10_000, 0),
            (json!({"cmd": "true", "workdir": "/", "yield_time_ms": 250}), 250, 0),
            (json!({"cmd": "true", "workdir": "/", "yield_time_ms": 0}), 250, 1),
            (json!({"cmd": "true", "workdir": "/", "yield_time_ms": -7}), 250, 1),
            (json!({"cmd": "true", "workdir": "/", "yield_time_ms": 40_000}), 30_000, 1),
        ] {
            let arguments = understood(&given).unwrap();
            let waited = arguments.wait.unwrap().as_millis();
            assert_eq!((waited, arguments.shown.notes.len()), (wait, notes), "{given}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_this_tools_own_arguments() {
        for (given, words) in [
            (json!({"cmd": " "}), "cmd is empty"),
            (json!({"cmd": "a\0"}), "cmd has a NUL character at byte 1"),
            (
                json!({"cmd": "true", "yield_time_ms": "abc"}),
                "yield_time_ms must be a whole number of milliseconds, from 250 to 30000, got",
            ),
            (
                json!({"cmd": "true", "workdir": "/", "sandbox_permissions": "with_additional_permissions"}),
                "additional_permissions must be",
            ),
        ] {
            let error = understood(&given).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(words), "{given}: {error}");
        }
    }

    #[test]
    fn another_shell_is_a_program_that_is_executed() {
        let made = |shell| in_shell("echo $HOME", shell, true).unwrap();
        assert_eq!(made(None), ("echo $HOME".into(), true));
        assert_eq!(made(Some("/usr/bin/bash")), ("echo $HOME".into(), true));
        assert_eq!(made(Some("zsh")), ("exec zsh -lc 'echo $HOME'".into(), false));
    }

    #[test]
    fn wishes_to_leave_the_sandbox_are_answered() {
        let given = json!({"cmd": "true", "workdir": "/", "sandbox_permissions": "require_escalated", "justification": "x"});
        assert!(understood(&given).is_ok());
        assert!(understood(&json!({"cmd": "true", "sandbox_permissions": "all"})).is_err());
    }
}
