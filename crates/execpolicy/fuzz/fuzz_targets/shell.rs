//! Any bytes as a script: it is read, and judging it ends. Run with `make fuzz`.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::LazyLock;

use execpolicy::dangerous::safe::is_known_safe;
use execpolicy::{Command, Options, Policy};
use libfuzzer_sys::fuzz_target;

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    Policy::from_text(Path::new("fuzz.rules"), "prefix_rule([\"a\"])\nprefix_rule([\"b\"], \"forbidden\", args_any = [\"-f\"])\n")
        .unwrap_or_default()
});

fuzz_target!(|script: &[u8]| {
    let script = OsStr::from_bytes(script);
    for shell in [&["sh", "-c"][..], &["env", "-S"], &["eval"], &["powershell", "-c"], &["cmd", "/c"], &["su", "-c"]] {
        let words: Vec<&OsStr> = shell.iter().map(OsStr::new).chain([script]).collect();
        if let Some(command) = Command::from_words(&words) {
            let _ = POLICY.evaluate(&command, &Options::default());
            let _ = is_known_safe(&command);
        }
    }
});
