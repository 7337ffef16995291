//! The program that connects, and those that have started it.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use execpolicy::Ancestry;

use crate::interception::kernel::family::{self, Image};
use crate::network::Caller;

/// How much of a command line is read.
const LONGEST_READ: u64 = 4096;

/// Finds out who a thread of a command is, for people and the record. `ancestry` is what rules go by; parents are told below
/// the call's own shell, where that is known.
pub(super) fn caller(thread: i32, ancestry: Ancestry, shell: Option<&(i32, Image)>) -> Caller {
    let workdir = std::fs::read_link(format!("/proc/{thread}/cwd")).unwrap_or_default();
    let parents = shell.and_then(|(shell, image)| parents(thread, *shell, image)).unwrap_or_default();
    Caller { program: program(thread), workdir, argv: argv(thread), parents, ancestry }
}

fn parents(thread: i32, shell: i32, image: &Image) -> Option<Vec<String>> {
    if family::process_of(thread)? == shell {
        return None;
    }
    Some(family::parents(family::parent_of(thread)?, shell, image))
}

pub(super) fn program(process: i32) -> PathBuf {
    std::fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default()
}

fn argv(process: i32) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{process}/cmdline")) {
        // Who is gone has none.
        let _ = file.take(LONGEST_READ).read_to_end(&mut bytes);
    }
    let words = bytes.split(|byte| *byte == 0);
    words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
}
