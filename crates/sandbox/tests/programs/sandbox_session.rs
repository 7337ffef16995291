//! The smallest launcher of a session's own process, which only Linux has.

#[cfg(target_os = "linux")]
#[path = "linux/session.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
