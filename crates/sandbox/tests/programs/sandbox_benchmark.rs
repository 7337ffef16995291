//! Measures what a session adds to a call; sessions are Linux's.

#[cfg(target_os = "linux")]
#[path = "linux/benchmark.rs"]
mod linux;
#[cfg(target_os = "linux")]
#[path = "../suite/waiting.rs"]
mod waiting;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
