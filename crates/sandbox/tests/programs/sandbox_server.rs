//! A server reduced to its session, which is Linux's.

#[cfg(target_os = "linux")]
#[path = "linux/server.rs"]
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
