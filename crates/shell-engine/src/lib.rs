//! Runs shell commands in a sandbox. Each command runs in a Bash that shows every program to the engine before it is
//! executed; the user's rules decide whether it runs in the sandbox, outside it, after asking, or not at all.
//!
//! Nothing here knows MCP, a terminal or a command line. How to embed it: `examples/embed.rs`, docs/embedding.md.
//!
//! # Layout
//!
//! A call, from the request down:
//!
//! * `shell`: one call: spawn, capture, wait, end.
//! * `interception`: how a program that is about to be executed reaches the judge; starting one with more rights.
//! * `judgement`: what is done about it.
//! * `approval`: asking a person; a trait that is implemented above.
//! * `output`: what a command prints.
//! * `audit`: the record of every decision.
//! * `time`: the clock that stands still while a person is asked.
//! * `sandboxes`: where programs run, in the sandbox of one policy or outside; starting them, waiting for them.
//! * `network`: hosts that are reached by name.
//! * `rules`: the rules in force, followed while their files change.
//! * `programs`: which file a program is, under all its names.
//! * `config`: what was asked for and written down, validated once.
//! * `caches`: what commands put into build tools' caches.
//! * `user_command`: what texts call this program. `visible`: text in which nothing hides.

pub mod approval;
pub mod audit;
pub mod caches;
pub mod config;
mod descriptor_limit;
mod interception;
pub mod judgement;
mod network;
pub mod output;
pub mod private;
mod programs;
pub mod rules;
pub mod sandboxes;
pub mod shell;
mod sys;
pub mod time;
pub mod user_command;
pub mod visible;

pub use approval::{
    Answer, ApprovalChain, Approver, CallApprover, Channel, Choice, Identity, Link, OfferedRule, Offers,
    OpenQuestion, Question, QuestionId, Reply, ReplyFuture, Scope,
};
pub use config::{
    AfterCall, ApartSettings, ApprovalSettings, Bytes, ChannelKind, Config, ConfigError, DoorChoice,
    LimitSettings, Limits, Processors, ReasonField, ResultFormat, ResultSettings, SandboxSettings, Settings,
    Webhook, find_codex_home, trusted_projects,
};
pub use descriptor_limit::{TooFewDescriptors, raise_descriptor_limit};
pub use execpolicy::RuleMatch;
pub use execpolicy::amend::Amendment;
pub use judgement::{AskedFor, Decided, DecisionRecord, find_program, preview, started_by};
pub use network::{OpenConnection, explain_host};
pub use output::{Found, Presentation, Query, Recording, Spool, View};
pub use rules::{LoadError, LoadErrors, RuleSettings, RuleSource, doubts, load_rules, read_legacy_policy};
pub use sandbox::{ExitStatus, Mode};
pub use shell::{
    BackgroundCall, Call, CallOutcome, CallProcess, CallRequest, CallState, Ending, RecentCall, RequestError,
    RunningCall, RunningCalls, Shell, StartError, Turn,
};
pub use time::Stopwatch;
pub use user_command::{learn_user_command, user_command, user_command_name};

/// Becomes what this program is started as besides itself, and never returns then; else does nothing: a process of the
/// sandbox, `apply_patch` by that name, or the editor of commands, which says that there is none.
///
/// The server starts its own program anew to set a sandbox up, so `main` must call this before anything else, and certainly
/// before it starts a thread. A program that embeds the server and cannot do that names one that does in
/// [`Settings::session_program`].
pub fn become_session_process() {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| patches::program::is_named(&name)) {
        std::process::exit(patches::program::run(arguments).into());
    }
    let Some(first) = arguments.next() else { return };
    if first == config::EDITOR_ARGUMENT {
        refuse_to_edit();
    }
    if first == sandboxes::SESSION_ARGUMENT {
        sandbox::run_session_process()
    }
}

#[expect(clippy::print_stderr, reason = "who has started an editor reads its words there")]
fn refuse_to_edit() -> ! {
    eprintln!("{}", config::NO_EDITOR);
    std::process::exit(1)
}
