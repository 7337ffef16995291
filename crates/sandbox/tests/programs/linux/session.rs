//! The smallest launcher of a session's own process: what `exec-server sandbox-init` does, alone, for this crate's
//! tests.
//!
//! With the argument `without-subreapers` it does so on a kernel that seems to have none, as gVisor: a filter answers
//! EINVAL.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::error::Error;

pub(super) fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("without-subreapers") {
        refuse_subreapers()?;
    }
    sandbox::run_session_process()
}

fn refuse_subreapers() -> Result<(), Box<dyn Error>> {
    let subreaper = u64::try_from(libc::PR_SET_CHILD_SUBREAPER)?;
    let asked = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, subreaper)?;
    let rules = [(libc::SYS_prctl, vec![SeccompRule::new(vec![asked])?])];
    let refused = SeccompAction::Errno(libc::EINVAL.unsigned_abs());
    let processor = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules.into(), SeccompAction::Allow, refused, processor)?;
    let program = BpfProgram::try_from(filter)?;
    Ok(seccompiler::apply_filter(&program)?)
}
