//! The name server inside: `answer` reads a question and writes the answer; `serve` is its sockets.

mod answer;
mod serve;

pub(crate) use serve::{serve_datagrams, serve_streams};
