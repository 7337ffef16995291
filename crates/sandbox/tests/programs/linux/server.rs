//! A server reduced to its session, for tests that kill it: starts a script, prints the numbers of all processes of the
//! session (as seen from outside), and waits to be killed.

use sandbox::{CallEvent, Directory, Launcher, MissingStreams, Mode, Network, Plan, Session, SpawnRequest};
use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

pub(super) fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let script = arguments.next().ok_or("usage: server SCRIPT [PLAN]")?;
    let plan = match arguments.next() {
        Some(json) => serde_json::from_str(&json)?,
        None => Plan::unenforced(Mode::DangerFullAccess, Network::Enabled),
    };
    let program = std::env::current_exe()?.with_file_name("sandbox-test-session");
    let session = Session::start(&Launcher { program, arguments: Vec::new() }, &plan)?;
    let call = session.spawn(&SpawnRequest {
        program: Path::new("/bin/sh"),
        arguments: &["sh", "-c", &script].map(OsString::from),
        environment: &["PATH=/usr/bin:/bin".into()],
        directory: Directory::Path(Path::new("/")),
        descriptors: &[],
        missing_streams: MissingStreams::Null,
        inherited: sandbox::Inherited::default(),
    })?;
    while !matches!(call.event_within(Duration::from_secs(10))?, Some(CallEvent::Started { .. })) {}
    // The script has some time to start what it starts; what is printed is what exists.
    std::thread::sleep(Duration::from_millis(200));
    let mut found = vec![i32::try_from(session.guard_pid())?];
    let mut at = 0;
    while at < found.len() {
        let pid = found[at];
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
        at += 1;
    }
    let line: Vec<String> = found.iter().map(ToString::to_string).collect();
    writeln!(std::io::stdout(), "{}", line.join(" "))?;
    loop {
        std::thread::park();
    }
}
