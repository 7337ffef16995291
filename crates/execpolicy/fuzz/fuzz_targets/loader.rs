//! Any text as a rules file: it is read or refused, never a crash, a stall or a flood. Run with `make fuzz`.

#![no_main]

use std::path::Path;

use execpolicy::legacy::LegacyPolicy;
use execpolicy::{Command, Options, Policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(execpolicy::STACK);
        let reading = thread.spawn_scoped(scope, || read(text)).expect("a thread");
        reading.join().expect("no panic");
    });
});

fn read(text: &str) {
    let file = Path::new("fuzz.rules");
    if let Ok(policy) = Policy::from_text(file, text) {
        for rule in policy.rules() {
            let _ = rule.to_string();
        }
        let words = ["git", "push"];
        if let Some(command) = Command::from_words(&words) {
            let _ = policy.explain(&command, &Options::default());
        }
    }
    let _ = LegacyPolicy::from_text(file, text);
}
