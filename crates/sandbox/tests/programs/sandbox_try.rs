//! Tries one system call and prints its outcome; what it tries is Linux's.

#[cfg(target_os = "linux")]
#[path = "linux/attempt.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
