//! A server reduced to its session, for tests that kill it: starts a script, prints the numbers of all processes of the
//! session (as seen from outside), and waits to be killed.

use crate::waiting::Waiting;
use sandbox::{CallEvent, Directory, Launcher, Mode, Network, Plan, Session, SpawnRequest};
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

pub(super) fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let script = arguments.next().ok_or("usage: server SCRIPT [PLAN]")?;
    let plan = match arguments.next() {
        Some(json) => serde_json::from_str(&json)?,
        None => Plan::unenforced(Mode::DangerFullAccess, Network::Enabled),
    };
    let program = std::env::current_exe()?.with_file_name("sandbox-test-session");
    let session = Session::start(&Launcher { program, ..Launcher::default() }, &plan)?;
    let nothing = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
    let (mut said, tell) = std::io::pipe()?;
    let call = session.spawn(SpawnRequest {
        program: "/bin/sh".into(),
        arguments: ["sh", "-c", &script].map(OsString::from).into(),
        environment: vec!["PATH=/usr/bin:/bin".into()],
        directory: Directory::Path("/".into()),
        descriptors: vec![(nothing.try_clone()?, 0), (tell.into(), 1), (nothing, 2)],
        inherited: sandbox::Inherited::default(),
        reported: false,
        reports_reading: false,
    })?;
    while !matches!(call.event_within(Duration::from_secs(10))?, Some(CallEvent::Started { .. })) {}
    // The script says when it has started what it starts, or ends.
    let _ = said.read(&mut [0])?;
    let mut found = vec![i32::try_from(session.guard_pid().ok_or("no guard")?)?];
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
