//! What calls do, as spans for a collector of OpenTelemetry: how long each waited, ran, and was asked about.
//!
//! A span has numbers and words of ours: no command, path or name is in it.

mod collector;
mod exporter;
mod otlp;
mod spans;

pub(super) use collector::Collector;
pub(super) use exporter::Exporter;
pub(super) use spans::Spans;
