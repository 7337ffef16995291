//! Any bytes, taken for what a supervisor tells: an error or an event that is read back as it was, never a panic, and
//! never more memory than the packet could fill.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbox::{CallEvent, LiveProcess};

fuzz_target!(|bytes: &[u8]| {
    let Ok((event, _)) = postcard::take_from_bytes::<CallEvent>(bytes) else { return };
    if let CallEvent::Alive(processes) = &event {
        assert!(processes.listed.len() <= 128);
        assert!(processes.listed.iter().all(|process| process.command_line.len() <= 256));
        assert!(processes.listed.iter().map(LiveProcess::display).all(|text| !text.contains('\n')));
    }
    // Not always to the same bytes: a number can be written with more of them than it needs.
    let written = postcard::to_allocvec(&event).expect("it is within its bounds");
    assert!(written.len() <= bytes.len());
    assert_eq!(postcard::from_bytes::<CallEvent>(&written).as_ref(), Ok(&event));
});
