//! The program that connects, and those that have started it.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use execpolicy::Ancestry;

use crate::interception::kernel::family;
use crate::network::Caller;
use crate::sandboxes::SESSION_ARGUMENT;
use crate::visible::{shortened, visible};

/// Programs above it that are looked at.
const MOST_PARENTS: usize = 8;
/// How much of a command line is read, and of a parent's shown.
const LONGEST_READ: u64 = 4096;
const LONGEST_SHOWN: usize = 80;

/// Finds out who a thread of a command is, for people and the record. `ancestry` is what rules go by.
pub(super) fn caller(thread: i32, ancestry: Ancestry) -> Caller {
    let workdir = std::fs::read_link(format!("/proc/{thread}/cwd")).unwrap_or_default();
    let mut caller =
        Caller { program: program(thread), workdir, argv: argv(thread), parents: Vec::new(), ancestry };
    let mut next = thread;
    for _ in 0..MOST_PARENTS {
        let Some(parent) = family::stat(next).map(|stat| stat.parent).filter(|parent| *parent > 1) else {
            break;
        };
        let words: Vec<String> = argv(parent).iter().map(|word| visible(word)).collect();
        // Above the command's own shell are the processes that hold the sandbox.
        if words.is_empty() || words.iter().any(|word| word == SESSION_ARGUMENT) {
            break;
        }
        caller.parents.push(shortened(&words.join(" "), LONGEST_SHOWN));
        next = parent;
    }
    caller
}

fn program(process: i32) -> PathBuf {
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
