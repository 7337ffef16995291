//! The smallest launcher of a session's own process: what `exec-server sandbox-init` does, alone, for this crate's tests.

fn main() {
    sandbox::run_session_process()
}
