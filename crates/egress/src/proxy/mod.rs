//! A proxy, for programs that have no network of their own in which names could lead anywhere: what a program asks it for,
//! and how it is answered.
//!
//! Three ways to ask: HTTP's `CONNECT` (RFC 9110, section 9.3.6), a request of HTTP for another host (RFC 9112, section 3.2.2),
//! and SOCKS 5 (RFC 1928). Whatever was asked for is judged, resolved, checked and read along as any other connection.
//!
//! `hear`: the way in; `http`, `socks`: its two languages; `wanted`: what both read.

mod hear;
mod http;
mod socks;
mod wanted;

pub(crate) use hear::hear;
pub(crate) use wanted::{Wanted, Way};
