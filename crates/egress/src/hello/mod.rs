//! What a program says at the beginning of a connection names the host a second time: TLS in its first message, HTTP in each
//! request. It must be the host that was judged, or another site at the same address could be reached under its name.
//!
//! * `begin`: what the first bytes could be taken for, by any server.
//! * `inspect`: what kind of conversation it is, and what of it may go out; `tls`, `http`, `http2`: one kind each.
//! * `server`: the server's first words, as far as they decide what the program may say next; `hearing`: its answers, by which
//!   it tells what it has taken the program's words for.
//!
//! Nothing is decrypted, and what no server takes for TLS or HTTP passes as it is.

mod begin;
mod hearing;
mod http;
mod http2;
mod inspect;
mod server;
mod tls;

pub(crate) use hearing::Hearing;
pub(crate) use inspect::{Inspector, Step};
