//! Measures what a session adds to a call: starts a program through a session, and plainly, in turns, and prints
//! medians.
//!
//! `sandbox-test-benchmark PROGRAM [ROUNDS] [WORKSPACE]`: with a workspace, the default policy there in every form that
//! this machine has, protected and hidden places of the user included; without, a session that enforces nothing.
#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use crate::waiting::Waiting;
use sandbox::resolve::{HostFacts, resolve};
use sandbox::{
    CallEvent, Directory, Launcher, Layers, Mode, Network, Plan, Restrictions, SandboxPolicy, Session,
    SpawnRequest,
};
use std::error::Error;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("usage: sandbox-test-benchmark PROGRAM [ROUNDS] [WORKSPACE]")?;
    let rounds: usize = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let plans = match arguments.next() {
        Some(workspace) => plans_for(workspace.into())?,
        None => vec![Plan::unenforced(Mode::DangerFullAccess, Network::Enabled)],
    };
    let process = std::env::current_exe()?.with_file_name("sandbox-test-session");
    let launcher = Launcher { program: process, ..Launcher::default() };
    for plan in &plans {
        let begun = Instant::now();
        let session = match Session::start(&launcher, plan) {
            Ok(session) => session,
            Err(error) => {
                println!("{:?}: {error}", plan.layers);
                continue;
            }
        };
        println!("{}: session set up in {:?}", session.enforcement(), begun.elapsed());
        let (mut plain, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push(run_plain(&program)?);
            inside.push(run_inside(&session, &program)?);
        }
        report("plain", &mut plain);
        report("inside", &mut inside);
    }
    Ok(())
}

fn plans_for(workspace: PathBuf) -> Result<Vec<Plan>, Box<dyn Error>> {
    let facts = HostFacts { workspace: vec![workspace], ..HostFacts::from_process() };
    let policy = SandboxPolicy::of_mode(Mode::WorkspaceWrite);
    let begun = Instant::now();
    let plan = resolve(&policy, &Restrictions::default(), &facts)?;
    println!(
        "resolved in {:?}: {} writable, {} protected, {} hidden",
        begun.elapsed(),
        plan.writable.len(),
        plan.read_only.len() + plan.reserved.len(),
        plan.hidden.len() + plan.emptied.len()
    );
    let forms = [Layers::RequireNamespaces, Layers::WithoutNamespaces, Layers::WithoutLandlock];
    Ok(forms.into_iter().map(|layers| Plan { layers, ..plan.clone() }).collect())
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort();
    let at = |part: usize| times[times.len() * part / 100];
    println!("  {name:<7} median {:>8.1?}  p90 {:>8.1?}  p99 {:>8.1?}", at(50), at(90), at(99));
}

fn run_plain(program: &str) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    Command::new(program)
        .args(["-c", ":"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(begun.elapsed())
}

fn run_inside(session: &Session, program: &str) -> Result<Duration, Box<dyn Error>> {
    let nothing = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
    let begun = Instant::now();
    let call = session.spawn(SpawnRequest {
        program: program.into(),
        arguments: [program, "-c", ":"].map(Into::into).into(),
        environment: vec!["PATH=/usr/bin:/bin".into()],
        directory: Directory::Path("/".into()),
        descriptors: vec![(nothing.try_clone()?, 0), (nothing.try_clone()?, 1), (nothing, 2)],
        inherited: sandbox::Inherited::default(),
        reported: false,
        reports_reading: false,
    })?;
    loop {
        match call.event_within(Duration::from_secs(10))? {
            Some(CallEvent::Ended { .. }) => return Ok(begun.elapsed()),
            Some(CallEvent::NotStarted { step, errno }) => return Err(format!("{step}: {errno}").into()),
            Some(_) => {}
            None => return Err("no end in time".into()),
        }
    }
}
