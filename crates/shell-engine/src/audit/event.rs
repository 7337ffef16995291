//! What is recorded, as it stands in the log's lines.

use escalation_protocol::handover::Outcome;
use serde::{Deserialize, Serialize};

use super::files::Log;
use super::rights_record::RightsRecord;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A server began.
    Started {
        /// The server's version.
        version: String,
        /// The sandbox's mode; none: no command runs.
        sandbox: Option<String>,
    },
    /// A call began that somebody can be told of by more than its number.
    Request {
        /// The call.
        call: String,
        /// Where it came from.
        #[serde(flatten)]
        origin: Origin,
    },
    /// A program was judged.
    Decision(Box<Decision>),
    /// A program that ran outside the sandbox ended.
    Ended {
        /// Its call.
        call: String,
        /// Which program of the call.
        exec: u64,
        /// How it ended.
        #[serde(flatten)]
        end: Outcome,
    },
    /// A connection by name was made and has ended, or was refused.
    Connection(Box<Connection>),
    /// Something was to be written to a command while it ran.
    Input(Box<Input>),
    /// Decisions are missing here, because the log could not be written.
    Lost {
        /// How many.
        decisions: u64,
    },
    /// Programs that simply ran inside the sandbox are missing here, because they came faster than they could be
    /// written, or the log could not be written.
    LostRuns {
        /// How many.
        runs: u64,
    },
    /// A call had more than is recorded one by one of programs that simply ran inside.
    MoreRuns {
        /// The call.
        call: String,
        /// How many more.
        runs: u64,
    },
    /// A call had more than is recorded one by one of programs that rules refused.
    MoreRefusals {
        /// The call.
        call: String,
        /// How many more.
        refusals: u64,
    },
    /// A server or machine had died in the middle of a line; what there was of it was removed.
    Repaired {
        /// How much of it there was.
        removed_bytes: u64,
    },
}

impl Event {
    /// The log that it belongs into.
    pub(super) fn log(&self) -> Log {
        match self {
            Event::Decision(decision) => match (decision.decision, &decision.asked) {
                (ActionKind::Run, None) => Log::Runs,
                (ActionKind::Run, Some(_)) | (ActionKind::Escalate | ActionKind::Deny, _) => Log::Decisions,
            },
            Event::Connection(connection) if connection.refused.is_none() => Log::Runs,
            Event::Connection(_) => Log::Decisions,
            Event::Input(input) if input.rule.is_none() => Log::Runs,
            Event::Input(_) => Log::Decisions,
            Event::LostRuns { .. } | Event::MoreRuns { .. } => Log::Runs,
            // Each log writes its own.
            Event::Repaired { .. } => Log::Decisions,
            Event::Started { .. }
            | Event::Request { .. }
            | Event::Ended { .. }
            | Event::Lost { .. }
            | Event::MoreRefusals { .. } => Log::Decisions,
        }
    }
}

/// By what others know the request that a call came with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The request's id, as logs and answers have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The trace that it is a part of (`traceparent` of W3C's Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What became of one connection by name; never what was said in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The call.
    pub call: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The program's file, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The rule, setting or person that has allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// Why it was refused or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The address that it was made to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes that the program has sent.
    pub sent: u64,
    /// Bytes that it has received.
    pub received: u64,
    /// From its beginning to its end.
    pub milliseconds: u64,
}

/// What was decided about one program, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The call.
    pub call: String,
    /// Which program of the call, from 1.
    pub exec: u64,
    /// The program of the call that has started it; none: its shell, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// What was decided.
    pub decision: ActionKind,
    /// The program's path.
    pub program: String,
    /// The argument vector, `argv[0]` first, cut where it is long. Bytes that are not UTF-8 are written `\xNN`.
    pub argv: Vec<String>,
    /// What was cut off `argv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The working directory.
    pub cwd: String,
    /// The rule that decided or asked: file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Who was asked, and what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Why it was denied, or what else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it got, where it ran by a rule or an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Box<RightsRecord>>,
}

/// What was to be written to a command, as its caller has given it: never the text, which may be a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The call.
    pub call: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: String,
    /// Whether it was written.
    pub written: bool,
    /// The program whose rule asked or forbade it, as a command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// That rule: file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Who was asked, and what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// How much of an argument vector is not in the log, and the hash by which the whole is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Arguments that the program got.
    pub arguments: u64,
    /// Bytes that they have together.
    pub bytes: u64,
    /// SHA-256 of all of them, each ended by a NUL byte.
    pub sha256: String,
}

/// What is done about a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// It runs inside the sandbox.
    Run,
    /// It runs outside the sandbox.
    Escalate,
    /// It does not run.
    Deny,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What was answered.
    pub answer: AnswerKind,
    /// Through which channel the answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// The rule that was written because the person said *always*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adds: Option<String>,
    /// How long the question was open, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
}

impl Asked {
    /// A question that nobody needs answered any more.
    pub(crate) fn withdrawn() -> Asked {
        Asked { answer: AnswerKind::Withdrawn, channel: None, words: None, adds: None, milliseconds: None }
    }
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// Yes, once.
    Once,
    /// Yes, once, inside the sandbox only.
    Inside,
    /// Yes, for this session.
    Session,
    /// Yes, from now on, by a rule.
    Always,
    /// No.
    Declined,
    /// Closed without a decision.
    Cancelled,
    /// Nobody could be asked, or nobody answered in time.
    Nobody,
    /// The program or its call ended before there was an answer.
    Withdrawn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_written_as_logs_have_them() {
        let forms = [
            (Outcome::Exited(2), r#"{"event":"ended","call":"3","exec":1,"exit_code":2}"#),
            (Outcome::Signaled(9), r#"{"event":"ended","call":"3","exec":1,"signal":9}"#),
            (Outcome::NotStarted(2), r#"{"event":"ended","call":"3","exec":1,"not_started":2}"#),
        ];
        for (end, line) in forms {
            let event = Event::Ended { call: "3".into(), exec: 1, end };
            assert_eq!(serde_json::to_string(&event).expect("encoded"), line);
            assert_eq!(serde_json::from_str::<Event>(line).expect("decoded"), event);
        }
    }
}
