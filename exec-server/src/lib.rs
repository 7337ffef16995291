//! An MCP server with a `shell` tool. Each command runs in a Bash that shows every program to the server before it is
//! executed; the user's rules decide whether it runs in the sandbox, outside it, after asking, or not at all.
//!
//! # Layout
//!
//! A call, from the client and back:
//!
//! * `mcp`: decodes requests, attaches them to calls, carries questions to the client, encodes results.
//! * `shell`: one call: spawn, capture, wait, end.
//! * `escalation`: one program of a call: what the wrapper asks, what is decided, what runs outside.
//! * `approval`: asking a person; a trait that is implemented above.
//! * `terminal`: asking in a terminal of the user's, and what is shown there.
//! * `audit`: the record of every decision.
//! * `time`: the clock that stands still while a person is asked.
//! * `sandboxes`: where programs run, in the sandbox of one policy or outside; starting them, waiting for them.
//! * `doctor`: whether all of it works on this machine.
//! * `rules`: the rules in force, followed while their files change.
//! * `config`: what was typed and written down, validated once.
//! * `user_command`: what texts call this program.
//!
//! How to embed it: `examples/embed.rs`, docs/embedding.md.
//!
//! Arrows go one way: `mcp → shell → escalation → {approval, rules, sandboxes, time}`, `sandboxes → config`.

mod approval;
pub mod audit;
mod config;
mod descriptor_limit;
pub mod doctor;
mod escalation;
mod mcp;
mod private;
mod rules;
mod sandboxes;
mod shell;
mod sys;
mod terminal;
mod time;
mod user_command;

pub use approval::{
    Answer, ApprovalSettings, Approver, Asked, Channel, ChannelKind, Choice, Identity, OfferedRule, Offers,
    OpenQuestion, Question, QuestionId, ReasonField, Reply, Scope, UnknownChannel,
};
pub use config::{
    AfterCall, Config, ConfigError, ConfigFileError, LimitError, LimitSettings, Limits, ResultFormat,
    ResultSettings, SandboxSettings, SandboxSettingsError, Settings, SpoolLimits, TrustedPlaceError,
    UnknownAfterCall, UnknownResultFormat, find_codex_home, trusted_projects,
};
pub use descriptor_limit::{TooFewDescriptors, raise_descriptor_limit};
pub use escalation::{Decided, DecisionRecord, find_program, preview};
pub use mcp::{SessionFile, ShellServer, explain_over_stdio, serve_stdio};
pub use private::{PrivateFolderError, private_folders};
pub use rules::{
    LoadError, LoadErrors, RuleSettings, RuleSource, RulesError, doubts, load_rules, read_legacy_policy,
};
pub use sandbox::Mode;
pub use shell::{
    Background, BackgroundCall, BackgroundProcess, Call, CallOutcome, CallRequest, Ending, Found,
    Presentation, Query, Recent, RecentCall, Recording, RequestError, Shell, Spool, StartError, Turn, View,
};
pub use sys::restore_signals;
pub use terminal::{Look, ScreenError, ScriptError, approve_by_script, approve_on_screen};
pub use time::Stopwatch;
pub use user_command::{learn_user_command, user_command, user_command_name};

/// Becomes what this program is started as besides itself, and never returns then; else does nothing: a process of the
/// sandbox, or the editor of commands, which says that there is none.
///
/// The server starts its own program anew to set a sandbox up, so `main` must call this before anything else, and certainly
/// before it starts a thread. A program that embeds the server and cannot do that names one that does in
/// [`Settings::session_program`].
pub fn become_session_process() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(first) = arguments.next() else { return };
    if first == config::EDITOR_ARGUMENT {
        refuse_to_edit();
    }
    #[cfg(target_os = "linux")]
    if first == sandboxes::SESSION_ARGUMENT {
        if let Some(soft) = arguments.next().and_then(|soft| soft.to_str()?.parse().ok()) {
            descriptor_limit::lower_descriptor_limit(soft);
        }
        sandbox::run_session_process()
    }
}

#[expect(clippy::print_stderr, reason = "who has started an editor reads its words there")]
fn refuse_to_edit() -> ! {
    eprintln!("{}", config::NO_EDITOR);
    std::process::exit(1)
}
