//! The `read_output` tool: parts of an output that did not fit into an answer, or that came after it.

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::encoding::{self, Plain, problem, with_output_schema, with_status};
use super::schema::object;
use shell_engine::config::ResultFormat;
use shell_engine::output::{Found, Query, Recording, Spool};

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

/// The names of all arguments.
const KNOWN: &[&str] = &["id", "offset", "limit", "tail", "grep", "strip_ansi"];

/// Describes the tool.
pub(super) fn describe(format: ResultFormat) -> Tool {
    let description = "Reads more of a command's output: what `shell` left out because it did not fit, or what background \
        processes printed since. Runs nothing and needs no approval.";
    let schema = object(json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The `output_id` of a result of `shell`."},
            "offset": {
                "type": "integer", "minimum": 0,
                "description": "Where to begin, in bytes. Defaults to 0."
            },
            "limit": {
                "type": "integer", "minimum": 1, "maximum": MAX_LIMIT,
                "description": "The most bytes to return, as JSON. Defaults to 36000."
            },
            "tail": {
                "type": "integer", "minimum": 1, "maximum": MAX_TAIL,
                "description": "Only so many lines, counted from the end; with `grep`, from the last match."
            },
            "grep": {
                "type": "string",
                "description": "Only lines that match this regular expression (Rust's regex; (?i) ignores case)."
            },
            "strip_ansi": {
                "type": "boolean",
                "description": "Remove escape sequences and overwritten progress bars. Defaults to true."
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
    outputs: &Spool,
) -> CallToolResult {
    let (recording, query, notes) = match read(given, outputs) {
        Ok(read) => read,
        Err(error) => return problem(error.to_string()),
    };
    // Before reading: what is printed meanwhile is read next time.
    let open = recording.is_open();
    match tokio::task::spawn_blocking(move || recording.find(&query)).await {
        Ok(Ok(found)) => encoding::encode(&part(found, open, notes), format),
        Ok(Err(error)) => problem(format!("the output cannot be read: {error}")),
        Err(error) => problem(format!("reading the output broke: {error}")),
    }
}

fn read(
    given: Option<&JsonObject>,
    outputs: &Spool,
) -> Result<(Recording, Query, Vec<String>), ArgumentError> {
    let arguments = Arguments::new(given);
    let id = arguments.required("id", &json!({"id": "1a2b3-4", "offset": 0}))?;
    let recording = outputs.find(id).ok_or_else(|| unknown_id(id, outputs))?;
    let grep = match arguments.text("grep", "error|warning")? {
        None => None,
        Some(pattern) => Some(
            regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build().map_err(|error| {
                let expected = format!("a regular expression ({})", error.to_string().replace('\n', " "));
                wrong("grep", expected, &pattern.into(), &json!({"grep": "error|warning"}))
            })?,
        ),
    };
    let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let query = Query {
        offset: arguments.number("offset", "bytes", u64::MAX, 40_000)?.unwrap_or(0),
        limit: small(arguments.number("limit", "bytes", MAX_LIMIT, DEFAULT_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
            .max(4),
        tail: arguments.number("tail", "lines", MAX_TAIL, 50)?.map(small),
        grep,
        strip_ansi: arguments.flag("strip_ansi")?.unwrap_or(true),
    };
    Ok((recording, query, arguments.unknown(KNOWN).into_iter().collect()))
}

fn unknown_id(id: &str, outputs: &Spool) -> ArgumentError {
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

    async fn called(arguments: Value, outputs: &Spool) -> CallToolResult {
        call(arguments.as_object(), ResultFormat::Json, outputs).await
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
            let result = call(arguments.as_object(), ResultFormat::Text, &outputs).await;
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
}
