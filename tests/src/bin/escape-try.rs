//! What the escape suite executes inside the sandbox: tries one thing and tells the kernel's error. The sandbox's own tests
//! use the same program.

#[cfg(target_os = "linux")]
#[path = "../../../crates/sandbox/tests/programs/sandbox_try.rs"]
mod sandbox_try;

fn main() {
    #[cfg(target_os = "linux")]
    sandbox_try::main();
}
