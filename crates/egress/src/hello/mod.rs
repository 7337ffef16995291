//! What a program says at the beginning of a connection names the host a second time: TLS in its first message, HTTP in each
//! request. It must be the host that was judged, or another site at the same address could be reached under its name.
//!
//! * `inspect`: what kind of conversation it is, and what of it may go out; `tls`, `http`, `http2`: one kind each.
//! * `server`: the server's first words, as far as they decide what the program may say next.
//!
//! Nothing is decrypted, and what is neither TLS nor HTTP passes as it is.

mod http;
mod http2;
mod inspect;
mod server;
mod tls;

pub(crate) use inspect::{Inspector, Step};
pub(crate) use server::{FirstWords, ServerSays};
