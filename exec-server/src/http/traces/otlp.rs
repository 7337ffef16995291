//! Spans as OTLP writes them in JSON (OpenTelemetry Protocol 1.x, "JSON Protobuf Encoding").

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_SERVER`.
const INTERNAL: u32 = 1;
const SERVER: u32 = 2;

/// `STATUS_CODE_ERROR`.
const ERROR: u32 = 2;

/// Something that took time.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// What it is: one of a few words.
    pub(super) name: &'static str,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: Option<String>,
    /// Whether it answers somebody else's request.
    pub(super) serves: bool,
    pub(super) begun: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) failed: bool,
}

/// A message with these spans, of this service.
pub(super) fn message(service: &str, spans: &[Span]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [("service.name", json!(service)), ("service.version", json!(version))];
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes(&resource)},
        "scopeSpans": [{
            "scope": {"name": "shell-tool-mcp", "version": version},
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }]})
}

fn span(span: &Span) -> Value {
    json!({
        "traceId": span.trace,
        "spanId": span.id,
        "parentSpanId": span.parent.as_deref().unwrap_or_default(),
        "name": span.name,
        "kind": if span.serves { SERVER } else { INTERNAL },
        "startTimeUnixNano": nanoseconds(span.begun),
        "endTimeUnixNano": nanoseconds(span.ended.max(span.begun)),
        "attributes": attributes(&span.attributes),
        "status": if span.failed { json!({"code": ERROR}) } else { json!({}) },
    })
}

fn attributes(pairs: &[(&'static str, Value)]) -> Vec<Value> {
    let value = |value: &Value| match value {
        // Numbers of 64 bits are written as text.
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            json!({"stringValue": other.to_string()})
        }
    };
    pairs.iter().map(|(key, own)| json!({"key": key, "value": value(own)})).collect()
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}
