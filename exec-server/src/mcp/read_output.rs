//! The `read_output` tool: parts of an output that did not fit into an answer, or that came after it.

use std::time::Duration;

use regex::{Regex, RegexBuilder};
use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::encoding::{self, Plain, problem, with_output_schema, with_status};
use super::handle;
use super::schema::object;
use shell_engine::config::ResultFormat;
use shell_engine::output::{Awaited, Found, Query, Recording, Spool};
use shell_engine::shell::Sessions;

/// The tool's name.
pub(super) const NAME: &str = "read_output";

/// Bytes of text that are returned when nothing else is said: as much as `shell` returns.
const DEFAULT_LIMIT: u64 = 36_000;

/// The most bytes of text that can be asked for.
const MAX_LIMIT: u64 = 1 << 20;

/// The most lines that can be asked for from the end.
const MAX_TAIL: u64 = 100_000;

/// The largest program that a pattern may become, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The longest that can be waited, in milliseconds.
const MAX_WAIT: u64 = 300_000;

/// How long is waited for a line when nothing is said.
const UNTIL_WAIT: Duration = Duration::from_secs(10);

/// How long output gathers before it is looked at again.
const BREATH: Duration = Duration::from_millis(10);

/// The names of all arguments.
const KNOWN: &[&str] = &["id", "offset", "limit", "tail", "grep", "strip_ansi", "wait_ms", "until"];

/// Describes the tool.
pub(super) fn describe(format: ResultFormat) -> Tool {
    let description =
        "Reads more of a command's output: what did not fit, or was printed since; can wait for it.";
    let schema = object(json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The `output_id` or `session_id` of a result."},
            "offset": {
                "type": "integer", "minimum": 0,
                "description": "First byte. Defaults to 0."
            },
            "limit": {
                "type": "integer", "minimum": 1, "maximum": MAX_LIMIT,
                "description": "Most bytes. Defaults to 36000."
            },
            "tail": {
                "type": "integer", "minimum": 1, "maximum": MAX_TAIL,
                "description": "Only so many last lines."
            },
            "grep": {
                "type": "string",
                "description": "Only lines that match this regular expression."
            },
            "wait_ms": {
                "type": "integer", "minimum": 0, "maximum": MAX_WAIT,
                "description": "Wait for new output, or for `until` (then 10000 by default)."
            },
            "until": {
                "type": "string",
                "description": "Wait for a line that matches this, or for the end: `exit`."
            },
            "strip_ansi": {
                "type": "boolean",
                "description": "Remove escape sequences. Defaults to true."
            }
        },
        "required": ["id"]
    }));
    let tool = Tool::new(NAME, description, schema).with_title("Read output").with_annotations(
        ToolAnnotations::with_title("Read output")
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(false),
    );
    with_output_schema::<OutputPart>(tool, format)
}

/// How the part of an output from `offset` on can be read, in words.
pub(super) fn how_to_read(recording: &Recording, offset: u64) -> String {
    let arguments = json!({"id": recording.id(), "offset": offset});
    format!("call {NAME} with {arguments}; it can also search (`grep`) and count from the end (`tail`)")
}

/// A part of an output.
#[derive(Debug, Serialize, JsonSchema)]
struct OutputPart {
    /// The lines.
    output: String,
    /// Where the first of them begins, in bytes.
    offset: u64,
    /// The `offset` of the next call; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<u64>,
    /// Bytes that were printed so far.
    total_bytes: u64,
    /// A process may still print more.
    open: bool,
    /// The command's exit code, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Whether what `until` says has come; absent without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<bool>,
    /// Bytes that are not UTF-8 and are written as \xNN.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid_bytes: Option<u64>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Reads the part that is asked for.
pub(super) async fn call(
    given: Option<&JsonObject>,
    format: ResultFormat,
    (outputs, sessions): (&Spool, &Sessions),
    given_up: impl Future<Output = ()>,
) -> CallToolResult {
    let Wanted { recording, query, wait, notes } = match read(given, outputs, sessions) {
        Ok(read) => read,
        Err(error) => return problem(error.to_string()),
    };
    let matched = match wait {
        Some((wait, time)) => match wait.wait(&recording, time, given_up).await {
            Ok(matched) => matched,
            Err(error) => return problem(format!("the output cannot be read: {error}")),
        },
        None => None,
    };
    let exit_code = recording.exit_code();
    // Before reading: what is printed meanwhile is read next time.
    let open = recording.is_open();
    match tokio::task::spawn_blocking(move || recording.find(&query)).await {
        Ok(Ok(found)) => {
            encoding::encode(&OutputPart { exit_code, matched, ..part(found, open, notes) }, format)
        }
        Ok(Err(error)) => problem(format!("the output cannot be read: {error}")),
        Err(error) => problem(format!("reading the output broke: {error}")),
    }
}

/// What is asked for.
struct Wanted {
    recording: Recording,
    query: Query,
    /// What is waited for before, and how long.
    wait: Option<(Wait, Duration)>,
    notes: Vec<String>,
}

fn read(given: Option<&JsonObject>, outputs: &Spool, sessions: &Sessions) -> Result<Wanted, ArgumentError> {
    let arguments = Arguments::new(given);
    let id = &*arguments.required_name("id", &json!({"id": "1a2b3-4", "offset": 0}))?;
    let session = id.parse().ok().and_then(|number| sessions.find(number)).or_else(|| sessions.of_output(id));
    let recording = match (outputs.find(id), &session) {
        (Some(recording), _) => recording,
        (None, Some(session)) => session.call().output().clone(),
        (None, None) => return Err(unknown_id(id, outputs)),
    };
    let grep = arguments.text("grep", "error|warning")?.map(|given| pattern("grep", given)).transpose()?;
    let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let offset = arguments.number("offset", "bytes", u64::MAX, 40_000)?;
    let until = arguments.text("until", "listening on")?;
    let mut notes: Vec<String> = arguments.unknown(KNOWN).into_iter().collect();
    let time = match arguments.number("wait_ms", "milliseconds", u64::MAX, 30_000)? {
        Some(wanted) if wanted > MAX_WAIT => {
            notes.push(format!("wait_ms was taken as {MAX_WAIT}, the most there is"));
            Duration::from_millis(MAX_WAIT)
        }
        Some(wanted) => Duration::from_millis(wanted),
        None if until.is_some() => UNTIL_WAIT,
        None => Duration::ZERO,
    };
    let told = session.map_or(0, |session| session.taken());
    let wait = match until {
        None => Some(Wait::More(offset.unwrap_or_else(|| recording.total()))).filter(|_| !time.is_zero()),
        Some("exit") => Some(Wait::End { of_the_shell: recording.exit_code().is_none() }),
        Some(given) => Some(Wait::Line(Awaited::new(pattern("until", given)?, offset.unwrap_or(told)))),
    };
    let query = Query {
        offset: offset.unwrap_or(0),
        limit: small(arguments.number("limit", "bytes", MAX_LIMIT, DEFAULT_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
            .max(4),
        tail: arguments.number("tail", "lines", MAX_TAIL, 50)?.map(small),
        grep,
        strip_ansi: arguments.flag("strip_ansi")?.unwrap_or(true),
    };
    let wait = wait.map(|wait| (wait, time));
    Ok(Wanted { recording, query, wait, notes })
}

/// A pattern that takes a time in proportion to the text, and no more memory than it may.
fn pattern(name: &'static str, given: &str) -> Result<Regex, ArgumentError> {
    RegexBuilder::new(given).size_limit(MAX_PATTERN_BYTES).build().map_err(|error| {
        let expected = format!("a regular expression ({})", error.to_string().replace('\n', " "));
        wrong(name, expected, &given.into(), &json!({name: "error|warning"}))
    })
}

/// What is waited for.
enum Wait {
    /// Something after this offset, or the end.
    More(u64),
    /// A line, or the end.
    Line(Awaited),
    /// The end of the command's shell; of what it has left behind, if it has ended already.
    End { of_the_shell: bool },
}

impl Wait {
    /// Waits at most so long. Tells whether a line or an end that was wanted has come.
    async fn wait(
        self,
        recording: &Recording,
        time: Duration,
        given_up: impl Future<Output = ()>,
    ) -> std::io::Result<Option<bool>> {
        let is_over = |recording: &Recording| recording.exit_code().is_some() && !recording.is_open();
        let in_vain = match &self {
            Wait::More(_) => None,
            Wait::Line(_) | Wait::End { .. } => Some(false),
        };
        let waiting = async {
            match self {
                Wait::More(offset) => {
                    recording
                        .until(|recording| recording.total() > offset || recording.exit_code().is_some())
                        .await;
                    Ok(None)
                }
                Wait::End { of_the_shell: true } => {
                    recording.until(|recording| recording.exit_code().is_some()).await;
                    Ok(Some(true))
                }
                Wait::End { of_the_shell: false } => {
                    recording.until(is_over).await;
                    Ok(Some(true))
                }
                Wait::Line(mut awaited) => loop {
                    let (total, was_over) = (recording.total(), is_over(recording));
                    let looked_in = recording.clone();
                    let looking = tokio::task::spawn_blocking(move || {
                        awaited.has_come(&looked_in).map(|has_come| (has_come, awaited))
                    });
                    let (has_come, rest) = looking.await.map_err(std::io::Error::other)??;
                    if has_come || was_over {
                        return Ok(Some(has_come));
                    }
                    awaited = rest;
                    recording.until(|recording| recording.total() > total || is_over(recording)).await;
                    tokio::time::sleep(BREATH).await;
                },
            }
        };
        tokio::select! {
            waited = waiting => waited,
            () = tokio::time::sleep(time) => Ok(in_vain),
            () = given_up => Ok(in_vain),
        }
    }
}

fn unknown_id(id: &str, outputs: &Spool) -> ArgumentError {
    if let Some(whose) = handle::of_another(outputs.server(), id) {
        return wrong("id", format!("an output of this server; {whose}"), &id.into(), &json!({"id": "ID"}));
    }
    let kept = outputs.list();
    let newest: Vec<&str> = kept.iter().rev().take(5).map(Recording::id).collect();
    let expected = match newest.is_empty() {
        true => "the output_id of a result of shell; none is kept: an output is kept when it did not fit into its result, \
            or when background processes may add to it"
            .to_owned(),
        false => format!("the output_id of a result of shell that is still kept; the newest are {}", newest.join(", ")),
    };
    wrong("id", expected, &id.into(), &json!({"id": newest.first().unwrap_or(&"1a2b3-4")}))
}

fn part(found: Found, open: bool, mut notes: Vec<String>) -> OutputPart {
    if let Some(gap) = &found.not_kept {
        notes.push(format!(
            "bytes {} to {} are not kept any more: of a very long output the beginning and the end are",
            gap.start, gap.end
        ));
    }
    OutputPart {
        output: found.text,
        offset: found.offset,
        next_offset: found.next_offset,
        total_bytes: found.total,
        open,
        exit_code: None,
        matched: None,
        invalid_bytes: Some(found.invalid).filter(|count| *count > 0),
        notes,
    }
}

impl Plain for OutputPart {
    /// The lines; then where the next ones are.
    fn plain(&self) -> String {
        let mut says = Vec::new();
        if let Some(next) = self.next_offset {
            says.push(format!("more of {} bytes from offset {next} on", self.total_bytes));
        } else if self.output.is_empty() {
            says.push("nothing".to_owned());
        }
        if let Some(matched) = self.matched {
            let not = if matched { "" } else { "not " };
            says.push(format!("what was waited for has {not}come"));
            says.extend(self.exit_code.map(|code| format!("exit {code}")));
        }
        if self.open {
            says.push("a process may print more".to_owned());
        }
        says.extend(self.notes.iter().cloned());
        with_status(&self.output, &says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use shell_engine::config::SpoolLimits;

    async fn asked(arguments: &Value, format: ResultFormat, outputs: &Spool) -> CallToolResult {
        let sessions = Sessions::new(1, Duration::from_secs(60), outputs.clone());
        call(arguments.as_object(), format, (outputs, &sessions), std::future::pending()).await
    }

    async fn called(arguments: Value, outputs: &Spool) -> CallToolResult {
        asked(&arguments, ResultFormat::Json, outputs).await
    }

    fn text(result: &CallToolResult) -> String {
        result.content[0].as_text().unwrap().text.clone()
    }

    #[tokio::test]
    async fn a_part_is_returned_with_where_to_go_on() {
        let outputs = Spool::new(SpoolLimits::default());
        let recording = outputs.finished(b"one\ntwo\nthree\n");
        outputs.keep(&recording);
        let id = recording.id();
        let part =
            called(json!({"id": id, "limit": 10, "bytes": 1}), &outputs).await.structured_content.unwrap();
        assert_eq!((&part["output"], &part["next_offset"]), (&json!("one\ntwo\n"), &json!(8)));
        assert!(part["notes"][0].as_str().unwrap().contains("bytes"), "{part}");
        let part = called(json!({"id": id, "offset": 8}), &outputs).await.structured_content.unwrap();
        assert_eq!(part, json!({"output": "three\n", "offset": 8, "total_bytes": 14, "open": false}));
        let part = called(json!({"id": id, "grep": "(?i)T", "tail": 1}), &outputs).await;
        assert_eq!(part.structured_content.unwrap()["output"], "three\n");
    }

    #[tokio::test]
    async fn as_text_a_part_is_its_lines_and_where_the_next_are() {
        let outputs = Spool::new(SpoolLimits::default());
        let recording = outputs.finished(b"one\ntwo\nthree\n");
        outputs.keep(&recording);
        let as_text = async |arguments: Value| {
            let result = asked(&arguments, ResultFormat::Text, &outputs).await;
            assert_eq!((result.content.len(), &result.structured_content), (1, &None));
            text(&result)
        };
        let id = recording.id();
        assert_eq!(as_text(json!({"id": id})).await, "one\ntwo\nthree\n");
        assert_eq!(
            as_text(json!({"id": id, "limit": 10})).await,
            "one\ntwo\n[more of 14 bytes from offset 8 on]"
        );
        assert_eq!(as_text(json!({"id": id, "offset": 14})).await, "[nothing]");
    }

    #[tokio::test]
    async fn a_mistake_is_named_with_what_would_be_right() {
        let outputs = Spool::new(SpoolLimits::default());
        let result = called(json!({"id": "zz-1"}), &outputs).await;
        assert!(result.is_error == Some(true) && text(&result).contains("none is kept"), "{result:?}");
        let recording = outputs.finished(b"x");
        outputs.keep(&recording);
        for (arguments, words) in [
            (json!({}), "id is missing"),
            (json!({"id": "zz-1"}), recording.id()),
            (json!({"id": recording.id(), "grep": "("}), "grep must be a regular expression"),
            (
                json!({"id": recording.id(), "limit": MAX_LIMIT + 1}),
                "limit must be a whole number of bytes, from 0 to",
            ),
            (json!({"id": recording.id(), "tail": "5"}), "tail must be a whole number of lines"),
        ] {
            let result = called(arguments, &outputs).await;
            assert!(result.is_error == Some(true) && text(&result).contains(words), "{result:?}");
        }
        // A pattern that would take long elsewhere takes a time in proportion to the text here.
        let grep = json!({"id": recording.id(), "grep": "(x+x+)+y"});
        assert_eq!(called(grep, &outputs).await.is_error, Some(false));
    }

    #[tokio::test]
    async fn what_is_waited_for_may_never_come() {
        let outputs = Spool::new(SpoolLimits::default());
        let recording = outputs.finished(b"one\n");
        outputs.keep(&recording);
        for until in ["two", "exit", "(x+x+)+y"] {
            let waited = called(json!({"id": recording.id(), "until": until, "wait_ms": 20}), &outputs).await;
            let waited = waited.structured_content.unwrap();
            assert_eq!((&waited["matched"], &waited["output"]), (&json!(false), &json!("one\n")), "{until}");
        }
        let found =
            called(json!({"id": recording.id(), "until": "^on", "wait_ms": u64::MAX}), &outputs).await;
        let found = found.structured_content.unwrap();
        assert_eq!(found["matched"], true);
        assert!(found["notes"][0].as_str().unwrap().contains("300000"), "{found}");
        let bad = called(json!({"id": recording.id(), "until": "("}), &outputs).await;
        assert!(text(&bad).contains("until must be a regular expression"), "{bad:?}");
    }
}
