//! The record of every decision: which program, what was decided, by which rule, who was asked, how it ended.
//!
//! There are two logs: what left the sandbox, was asked about or was refused; and what simply ran inside, which may be
//! very much, and never rotates away anything of the other.
//!
//! The escalation side tells `CallRecord` and `ExecRecord` what happens; [`Audit`] queues it to a thread of its own,
//! which appends it to files that no sandboxed command can reach. Each line carries the hash of the one before it, so
//! that [`verify()`] notices what was changed. Nothing here decides anything; but what must be on record and cannot be
//! is an error, and whoever asked for it then does without.
//!
//! Never recorded: values of environment variables, output, and what is written to commands while they run, of which size and
//! hash are.

mod append;
mod approvals;
mod audit_log;
mod bounded;
mod error;
mod event;
mod files;
mod line;
mod read;
mod record;
mod recorded;
mod rights_record;
mod show;
mod tree;
mod verify;

pub use approvals::{Approval, Approvals};
pub use audit_log::{Audit, Listener};
pub use error::AuditError;
pub use event::{ActionKind, AnswerKind, Asked, Connection, Decision, Event, Input, Origin};
pub use files::check_writable;
pub use read::ReadError;
pub(crate) use record::{CallRecord, ExecRecord, Place};
pub use recorded::recorded;
pub use rights_record::RightsRecord;
pub use show::{Filter, ShowError, show};
pub use tree::{CallName, tree};
pub use verify::{Extent, Fault, Intact, VerifyError, verify};
