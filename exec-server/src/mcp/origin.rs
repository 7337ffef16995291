//! By what others know a request: its name in logs, and the trace that it is a part of.

use axum::http::request::Parts;
use rmcp::RoleServer;
use rmcp::service::RequestContext;
use shell_engine::audit::Origin;

/// Where a trace is told, in a message and in a request's head (W3C Trace Context).
const TRACE: &str = "traceparent";

/// A request's name, as the transport has it: an extension of its head.
#[derive(Clone, Debug)]
pub(crate) struct RequestName(pub(crate) String);

/// By what others know this request. What the message says of its trace counts, then what its head says.
pub(super) fn origin(context: &RequestContext<RoleServer>) -> Origin {
    let head = context.extensions.get::<Parts>();
    let name = head.and_then(|head| head.extensions.get::<RequestName>());
    let in_head = || head?.headers.get(TRACE)?.to_str().ok();
    let trace = context.meta.get_traceparent().or_else(in_head).filter(|trace| is_trace(trace));
    Origin { request: name.map(|name| name.0.clone()), trace: trace.map(ToOwned::to_owned) }
}

/// Whether this is what the first version of Trace Context has: version, trace, span and flags in hexadecimal.
fn is_trace(text: &str) -> bool {
    let is_hexadecimal =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = &parts[..] else { return false };
    let lengths = [version, trace, span, flags].map(|part| part.len());
    lengths == [2, 32, 16, 2] && parts.iter().all(|part| is_hexadecimal(part)) && *version != "ff"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_what_the_standard_says() {
        assert!(is_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for other in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(!is_trace(other), "{other}");
        }
    }
}
