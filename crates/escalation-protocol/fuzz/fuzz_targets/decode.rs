//! Any bytes, taken for each message of the protocol: an error or a message that encodes to the same bytes, never a
//! panic.

#![no_main]

use escalation_protocol::frame::{HEADER_BYTES, Header, MAX_RESPONSE_BYTES};
use escalation_protocol::handover::{Handover, MAX_HANDOVER, Outcome};
use escalation_protocol::hello::Hello;
use escalation_protocol::request::ExecRequest;
use escalation_protocol::response::{MAX_REASON_BYTES, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(Ok(header)) = bytes.first_chunk::<HEADER_BYTES>().map(Header::decode) {
        assert!(header.length <= header.kind.limit());
        assert_eq!(&header.encode()[..], &bytes[..HEADER_BYTES]);
    }
    if let Ok(hello) = Hello::decode(bytes) {
        assert_eq!(hello.encode(), bytes);
    }
    if let Ok(request) = ExecRequest::decode(bytes.to_vec()) {
        let argv: Vec<&[u8]> = request.argv().collect();
        let env: Vec<&[u8]> = request.env().collect();
        assert_eq!(argv.len(), request.argc());
        assert_eq!(ExecRequest::encode(request.file(), &argv, &env).as_deref(), Some(bytes));
    }
    if let Ok(response) = Response::decode(bytes)
        && bytes.len() <= MAX_REASON_BYTES
    {
        assert_eq!(response.encode(&mut [0; MAX_RESPONSE_BYTES as usize]), bytes);
    }
    if let Ok(handover) = Handover::decode(bytes) {
        assert_eq!(handover.encode(&mut [0; MAX_HANDOVER]), bytes);
    }
    if let Ok(outcome) = Outcome::decode(bytes) {
        assert_eq!(outcome.encode(), bytes);
    }
});
