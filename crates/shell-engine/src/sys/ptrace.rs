//! Stops of processes that are about to execute a program (ptrace(2)). All of it belongs to the thread that has seized
//! them.

#![expect(unsafe_code, reason = "safe libraries know no signals beyond 31, which any process may be sent")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// The stop at the end of an `execve` that has succeeded, before the new program's first instruction.
const EVENT_EXEC: i32 = 4;
/// `si_code` of a stop (sigaction(2)).
const CLD_TRAPPED: i32 = 4;
const CLD_STOPPED: i32 = 5;

/// What has become of a seized thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has executed a program, and stands before its first instruction. `formerly`: its number before, where it was
    /// not the first thread of its process.
    Executed { formerly: i32 },
    /// It stands for another reason; `signal` is what it was about to get, 0 for none.
    Stopped { signal: i32 },
    /// It has ended.
    Gone,
}

/// Seizes a thread without stopping it: it stops after its next `execve` that succeeds, and dies with this thread.
pub(crate) fn seize(thread: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SEIZE, thread, 0, usize::try_from(options).unwrap_or_default())
}

/// Has a seized thread stop before it next runs in user mode.
pub(crate) fn interrupt(thread: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, thread, 0, 0)
}

/// Lets a stopped thread go on, with the signal that it was about to get.
pub(crate) fn go_on(thread: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, thread, 0, usize::try_from(signal).unwrap_or_default())
}

/// Lets a stopped thread go for good, with the signal that it was about to get.
pub(crate) fn release(thread: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, thread, 0, usize::try_from(signal).unwrap_or_default())
}

/// Kills a process.
pub(crate) fn kill(process: i32) {
    if process > 1 {
        // SAFETY: kill(2) takes two integers; the number names one process.
        unsafe { libc::kill(process, libc::SIGKILL) };
    }
}

/// Whether a thread is the first of its process, whose number it has.
pub(crate) fn is_first_of_its_process(thread: i32) -> bool {
    // SAFETY: tgkill(2) takes three integers; signal 0 only asks whether there is such a thread in such a process.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, thread, thread, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// The next change of a thread that *this* thread has seized, without waiting. It must have no children of its own.
pub(crate) fn next_change() -> io::Result<Option<(i32, Change)>> {
    let mut told = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: the structure is live and writable; nothing else is demanded.
    if unsafe { libc::waitid(libc::P_ALL, 0, told.as_mut_ptr(), options) } < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    // SAFETY: zeroes are valid for a structure of numbers, and waitid writes no others than valid ones.
    let told = unsafe { told.assume_init() };
    // SAFETY: waitid fills the fields of SIGCHLD, or leaves zeroes.
    let thread = unsafe { told.si_pid() };
    // SAFETY: as above.
    let status = unsafe { told.si_status() };
    if thread == 0 {
        return Ok(None);
    }
    let change = match told.si_code {
        CLD_TRAPPED | CLD_STOPPED => match (status & 0xff, status >> 8) {
            (_, EVENT_EXEC) => Change::Executed { formerly: event_message(thread).unwrap_or(thread) },
            (signal, 0) => Change::Stopped { signal },
            (_, _) => Change::Stopped { signal: 0 },
        },
        _ => Change::Gone,
    };
    Ok(Some((thread, change)))
}

fn event_message(thread: i32) -> io::Result<i32> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, thread, 0, (&raw mut message).addr())?;
    i32::try_from(message).map_err(io::Error::other)
}

/// A call of `execveat(descriptor, "", argv, envp, AT_EMPTY_PATH)`; addresses are those of the caller's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExecuteDescriptor {
    pub(crate) descriptor: i32,
    /// Where a NUL is.
    pub(crate) empty: u64,
    pub(crate) argv: u64,
    pub(crate) environment: u64,
}

/// Has a thread that stands at the end of a system call of its own make another one in its stead. Nothing is written to
/// its memory: a stack may be as small as a caller of `clone` has made it, and a parent's.
///
/// # Errors
///
/// When its registers cannot be changed, or it does not stand where such a call ends.
pub(crate) fn call_instead(thread: i32, call: ExecuteDescriptor, failed_with: i32) -> io::Result<()> {
    let mut registers = registers(thread)?;
    if !substitute(&mut registers, call, failed_with) {
        return Err(io::Error::other("it is not where its system call ended"));
    }
    set_registers(thread, &registers)
}

#[cfg(target_arch = "x86_64")]
fn substitute(registers: &mut libc::user_regs_struct, call: ExecuteDescriptor, failed_with: i32) -> bool {
    /// Bytes of the `syscall` instruction.
    const INSTRUCTION: u64 = 2;
    if registers.rax != i64::from(-failed_with).cast_unsigned() {
        return false;
    }
    registers.rax = libc::SYS_execveat.unsigned_abs();
    // No call is restarted: it is a new one.
    registers.orig_rax = u64::MAX;
    registers.rip -= INSTRUCTION;
    registers.rdi = u64::from(call.descriptor.unsigned_abs());
    registers.rsi = call.empty;
    registers.rdx = call.argv;
    registers.r10 = call.environment;
    registers.r8 = u64::from(libc::AT_EMPTY_PATH.unsigned_abs());
    true
}

#[cfg(target_arch = "aarch64")]
fn substitute(registers: &mut libc::user_regs_struct, call: ExecuteDescriptor, failed_with: i32) -> bool {
    /// Bytes of the `svc` instruction.
    const INSTRUCTION: u64 = 4;
    if registers.regs[0] != i64::from(-failed_with).cast_unsigned() {
        return false;
    }
    registers.pc -= INSTRUCTION;
    registers.regs[8] = libc::SYS_execveat.unsigned_abs();
    registers.regs[0] = u64::from(call.descriptor.unsigned_abs());
    registers.regs[1] = call.empty;
    registers.regs[2] = call.argv;
    registers.regs[3] = call.environment;
    registers.regs[4] = u64::from(libc::AT_EMPTY_PATH.unsigned_abs());
    true
}

fn registers(thread: i32) -> io::Result<libc::user_regs_struct> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let mut space = libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of_val(&registers) };
    request(libc::PTRACE_GETREGSET, thread, NT_PRSTATUS, (&raw mut space).addr())?;
    // SAFETY: zeroes are valid for a structure of numbers, and so is whatever the kernel has written over them.
    Ok(unsafe { registers.assume_init() })
}

fn set_registers(thread: i32, registers: &libc::user_regs_struct) -> io::Result<()> {
    let from = ptr::from_ref(registers).cast_mut().cast();
    let mut space = libc::iovec { iov_base: from, iov_len: size_of_val(registers) };
    request(libc::PTRACE_SETREGSET, thread, NT_PRSTATUS, (&raw mut space).addr())
}

/// The general registers (elf.h).
const NT_PRSTATUS: usize = 1;

fn request(what: libc::c_uint, thread: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: each caller gives what its request demands: numbers, or the address of a live structure of the type that
    // the request reads or writes. Requests of a thread that is not seized by this one fail.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, libc::c_long::from(what), thread, address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
