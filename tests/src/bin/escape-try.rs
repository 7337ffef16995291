//! What the escape suite executes inside the sandbox: tries one thing and tells the kernel's error. The sandbox's own
//! tests use the same program.

#[cfg(target_os = "linux")]
#[path = "../../../crates/sandbox/tests/programs/linux/attempt.rs"]
mod attempt;

fn main() {
    #[cfg(target_os = "linux")]
    attempt::main();
}
