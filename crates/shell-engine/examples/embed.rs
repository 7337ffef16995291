//! An agent of one's own around the shell, without MCP: runs one command in the sandbox, asks its person on the terminal when
//! a rule says so, prints what came of it, and exits as the command did.
//!
//! ```text
//! cargo run -p shell-engine --example embed -- dist/bin 'git status; git push'
//! ```
//!
//! The first argument is the folder with `bash` and `execve-wrapper`. See docs/embedding.md.

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use shell_engine::{
    ApprovalChain, CallApprover, CallOutcome, CallRequest, Channel, Choice, Config, Link, OpenQuestion,
    Presentation, Reply, ReplyFuture, Settings, Shell,
};

/// How long the command may run, without the time that its person thinks.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much of the output an agent is shown.
const MOST_TOKENS: u64 = 10_000;

fn main() -> anyhow::Result<ExitCode> {
    // Before anything else: the sandbox is set up by this very program, started once more.
    shell_engine::become_session_process();
    let mut arguments = std::env::args_os().skip(1);
    let (programs, command) =
        arguments.next().zip(arguments.next()).context("usage: embed FOLDER-OF-PROGRAMS COMMAND")?;
    let programs = Path::new(&programs);
    let config = Config::new(Settings {
        bash: Some(programs.join("bash")),
        execve_wrapper: Some(programs.join("execve-wrapper")),
        ..Settings::default()
    })?;
    // Each call takes descriptors of this program. Commands keep the limit that it was started with.
    shell_engine::raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shell = Shell::new(Arc::new(config));
        let request = CallRequest::new(command, std::env::current_dir()?, TIMEOUT, false)?;
        // One for all calls: it knows what was allowed for the session. There may be more than one way to ask.
        let chain = ApprovalChain::new(vec![Link::Shared(Arc::new(Terminal))], shell.config().answers());
        let approver = CallApprover::new(Arc::new(chain), None, None);
        let mut call = shell.start(request, Arc::new(approver), shell.turn().await).await?;
        let outcome = call.finished().await.context("the call broke")?;
        report(&outcome)?;
        for left in shell.running().background().await {
            let processes: Vec<String> = left.processes.iter().map(ToString::to_string).collect();
            writeln!(std::io::stderr(), "left running by `{}`: {}", left.command, processes.join(", "))?;
        }
        // Ends them.
        shell.close(Duration::from_secs(2)).await;
        Ok(ExitCode::from(u8::try_from(outcome.ending.exit_code()).unwrap_or(u8::MAX)))
    })
}

/// Asks whoever started this program.
struct Terminal;

impl Channel for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn reach(&self) -> Result<(), String> {
        Ok(())
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        Box::pin(async move {
            // A thread may wait for a person; the task that serves the command must not.
            let asked = tokio::task::spawn_blocking(move || read_answer(&open)).await;
            asked.unwrap_or_else(|error| Reply::Passed(error.to_string()))
        })
    }
}

fn read_answer(open: &OpenQuestion) -> Reply {
    let mut line = String::new();
    // Everything in the message is safe to be shown: control characters are written out.
    let asked = write!(std::io::stderr(), "{}\nyes or no? ", open.question.message())
        .and_then(|()| std::io::stdin().lock().read_line(&mut line));
    match (asked, line.trim()) {
        (Err(error), _) => Reply::Passed(format!("the terminal cannot be asked: {error}")),
        (Ok(0), _) => Reply::Passed("nobody is at the terminal".into()),
        // What else may be answered is in `open.offers`; what is not a clear yes is a no.
        (Ok(_), "yes") => Reply::Decided { choice: Choice::Once, reason: None },
        (Ok(_), _) => Reply::Decided { choice: Choice::Deny, reason: None },
    }
}

fn report(outcome: &CallOutcome) -> std::io::Result<()> {
    let view = outcome.output.view(Presentation::of_tokens(MOST_TOKENS, true));
    std::io::stdout().write_all(view.text.as_bytes())?;
    let mut words = std::io::stderr();
    writeln!(words, "{:?} in {:?}, sandbox: {}", outcome.ending, outcome.running, outcome.sandbox)?;
    for decision in &outcome.decisions {
        writeln!(words, "{}", serde_json::to_string(decision)?)?;
    }
    for denial in &outcome.denials {
        writeln!(words, "{denial}")?;
    }
    Ok(())
}
