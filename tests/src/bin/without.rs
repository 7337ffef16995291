//! Runs a program as on a machine that lacks something: `without landlock|namespaces… -- PROGRAM ARGUMENT…`.
//!
//! A filter of system calls answers in the kernel's place, as old kernels (`ENOSYS`) and containers (`EPERM`) do.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(target_os = "linux")]
    linux::run()?;
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::error::Error;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    /// Every kind of namespace that can be made (namespaces(7)).
    const KINDS: [i32; 7] = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWCGROUP,
    ];

    pub(super) fn run() -> Result<(), Box<dyn Error>> {
        let mut words = std::env::args().skip(1);
        for what in words.by_ref().take_while(|word| word != "--") {
            match what.as_str() {
                "landlock" => {
                    let calls = [
                        libc::SYS_landlock_create_ruleset,
                        libc::SYS_landlock_add_rule,
                        libc::SYS_landlock_restrict_self,
                    ];
                    answer(libc::ENOSYS, calls.map(|call| (call, Vec::new())))?;
                }
                "namespaces" => {
                    let (clone, unshare) = (of_a_namespace()?, of_a_namespace()?);
                    // Its flags lie in memory, where no filter looks.
                    answer(libc::ENOSYS, [(libc::SYS_clone3, Vec::new())])?;
                    answer(libc::EPERM, [(libc::SYS_clone, clone), (libc::SYS_unshare, unshare)])?;
                }
                other => return Err(format!("cannot take `{other}` away").into()),
            }
        }
        let program = words.next().ok_or("no program")?;
        Err(Command::new(program).args(words).exec().into())
    }

    /// Matches calls whose first argument has the flag of any kind of namespace.
    fn of_a_namespace() -> Result<Vec<SeccompRule>, Box<dyn Error>> {
        let rule = |kind: i32| -> Result<SeccompRule, Box<dyn Error>> {
            let flag = u64::try_from(kind)?;
            let has = SeccompCmpOp::MaskedEq(flag);
            Ok(SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, has, flag)?])?)
        };
        KINDS.into_iter().map(rule).collect()
    }

    /// Has the kernel answer these calls with an error, in this process and in all that come from it.
    fn answer(
        errno: i32,
        calls: impl IntoIterator<Item = (libc::c_long, Vec<SeccompRule>)>,
    ) -> Result<(), Box<dyn Error>> {
        let calls: BTreeMap<i64, Vec<SeccompRule>> = calls.into_iter().collect();
        let refuse = SeccompAction::Errno(u32::try_from(errno)?);
        let filter =
            SeccompFilter::new(calls, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
        let program: BpfProgram = filter.try_into()?;
        Ok(seccompiler::apply_filter(&program)?)
    }
}
