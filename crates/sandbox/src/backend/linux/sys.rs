//! The system calls of Linux for which no safe wrapper exists in the libraries used.
//!
//! Everything here is meant for the session's own small processes (guard, init, supervisors), which have one thread;
//! [`SingleThreaded`] is the proof that `fork` demands.
#![expect(unsafe_code, reason = "fork, signal masks and mounts have no safe wrapper")]

use crate::event::ExitStatus;
pub(crate) use crate::sys::exit_now;
use crate::sys::no_signals;
use rustix::event::Timespec;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Proof that this process has one thread, so that a forked child may use everything that the parent may.
#[derive(Clone, Copy)]
pub(crate) struct SingleThreaded(());

impl SingleThreaded {
    /// Checks it, by counting `/proc/self/task`. The session's processes never start a thread after this.
    pub(crate) fn check() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(SingleThreaded(())),
            threads => Err(io::Error::other(format!("the process has {threads} threads"))),
        }
    }
}

/// Which side of a fork this is.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

/// Makes a copy of this process.
pub(crate) fn fork(_proof: SingleThreaded) -> io::Result<Forked> {
    // SAFETY: fork(2) takes nothing. In a process with several threads the child could only call async-signal-safe
    // functions; the proof says that there is one.
    let result = unsafe { libc::fork() };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        raw => {
            Pid::from_raw(raw).map(Forked::Parent).ok_or_else(|| io::Error::other("fork returned no process"))
        }
    }
}

/// Runs `child` in a new process that shares the memory of this one, and returns when it has executed a program or has ended,
/// as with vfork(2). What `child` does not undo in memory before that stays done.
///
/// Unlike there, this process sleeps meanwhile: in vfork(2) it would count as load on the machine, and `child` may wait for hours.
pub(crate) fn fork_sharing_memory(_proof: SingleThreaded, child: &mut dyn FnMut()) -> io::Result<Pid> {
    /// What both sides know.
    struct Shared<'a> {
        child: UnsafeCell<&'a mut dyn FnMut()>,
        /// The kernel clears it, and wakes who waits for that, when the new process is done with the memory: as it executes a
        /// program, and as it ends (set_tid_address(2)). Not by a flag of clone(2), which musl refuses.
        has_memory: AtomicU32,
        /// The kernel has been told so.
        is_told: AtomicBool,
    }
    extern "C" fn run(shared: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the argument of the clone(2) below points to this, which lives until that process is done with the memory.
        let shared = unsafe { &*shared.cast::<Shared<'_>>() };
        // SAFETY: the address is of a live word, which the kernel writes when this process gives the memory up: before the other
        // one goes on.
        unsafe { libc::syscall(libc::SYS_set_tid_address, shared.has_memory.as_ptr()) };
        shared.is_told.store(true, Ordering::Release);
        // SAFETY: nobody else looks at the function before that process is done with the memory.
        unsafe { (*shared.child.get())() };
        127
    }
    const STACK: usize = 128 << 10;
    /// How long it takes to tell the kernel, about.
    const BEGINNING: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    // Of `u128`s for its alignment.
    let mut stack = Vec::<u128>::with_capacity(STACK / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let (has_memory, is_told) = (AtomicU32::new(1), AtomicBool::new(false));
    let shared = Shared { child: UnsafeCell::new(child), has_memory, is_told };
    let flags = libc::CLONE_VM | libc::SIGCHLD;
    // SAFETY: the stack is live, large enough for the steps before an `execve`, aligned, and grows downwards from its top. This
    // thread, the only one (the proof), does nothing but wait until the child is done with the memory; descriptors, folder and
    // signal dispositions are copies. The unused last three arguments belong to flags that are not set.
    let result = unsafe { libc::clone(run, top.cast(), flags, (&raw const shared).cast_mut().cast()) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    let pid = Pid::from_raw(result).ok_or_else(|| io::Error::other("clone returned no process"))?;
    while shared.has_memory.load(Ordering::Acquire) != 0 {
        let is_told = shared.is_told.load(Ordering::Acquire);
        // Woken too early, it looks again. Not `PRIVATE`, which the kernel does not say either.
        let patience = (!is_told).then_some(&BEGINNING);
        let _ = futex::wait(&shared.has_memory, futex::Flags::empty(), 1, patience);
        // One that was killed before it had told the kernel.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !is_told && matches!(waitid(WaitId::Pid(pid), ended), Ok(Some(_)) | Err(_)) {
            break;
        }
    }
    Ok(pid)
}

/// Makes a copy of this process that is the first one in new namespaces (`CLONE_NEW*` flags).
pub(crate) fn fork_into_namespaces(_proof: SingleThreaded, flags: libc::c_int) -> io::Result<Forked> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: clone(2) without CLONE_VM and with a null stack copies the process as fork does; the remaining pointers
    // are unused without their flags, so zero is right for them in any order of arguments. The proof says that no other
    // thread can have left a lock taken in the copy.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match i32::try_from(result) {
        Ok(-1) => Err(io::Error::last_os_error()),
        Ok(0) => Ok(Forked::Child),
        Ok(raw) => Pid::from_raw(raw)
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("clone returned no process")),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Tells whether a filter of system calls refuses user namespaces: flags that contradict each other are EINVAL to every kernel, before
/// it looks at anything else, so another answer is a filter's. A child asks, because a filter may kill who does.
pub(crate) fn user_namespaces_are_filtered() -> bool {
    let answer = try_in_child(|| {
        let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::CLONE_FS | libc::SIGCHLD);
        // SAFETY: clone(2) without CLONE_VM and with a null stack copies the process as fork does; a kernel that makes one after
        // all gets it back at once, before it has touched what another thread may have left locked.
        let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
        match result {
            0 => exit_now(0),
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    });
    answer.is_err_and(|error| error.raw_os_error() != Some(libc::EINVAL))
}

/// Moves this process into new namespaces (`CLONE_NEW*` flags).
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare(2) takes an integer. With these flags nothing that this process shares with another thread, such as the
    // table of descriptors, is replaced.
    nothing(i64::from(unsafe { libc::unshare(flags) }))
}

/// Runs `steps` in a child process, which ends with them, and returns what came of them. Also for processes with threads.
pub(crate) fn try_in_child(steps: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    // No step fails with this one.
    const DONE: i32 = libc::EOWNERDEAD;
    let mut command = Command::new("/proc/self/exe");
    // SAFETY: `steps` may only call async-signal-safe functions, because another thread may have held a lock when the child was
    // forked. The callers' do nothing but system calls, and the errors that they make allocate nothing.
    unsafe {
        command.pre_exec(move || match steps() {
            // The only way back: what fails here is told to the parent, and no program is executed.
            Ok(()) => Err(io::Error::from_raw_os_error(DONE)),
            error => error,
        })
    };
    match command.spawn() {
        Err(error) if error.raw_os_error() == Some(DONE) => Ok(()),
        Err(error) => Err(error),
        // Nothing was told and nothing executed: the child was killed.
        Ok(mut child) => {
            let status = child.wait()?;
            Err(io::Error::other(format!("the steps were not taken: {status}")))
        }
    }
}

/// Changes the flags of a mount, or of the whole tree below it (mount_setattr(2), Linux 5.12).
pub(crate) fn change_mount(mount: BorrowedFd<'_>, whole_tree: bool, set: u64, clear: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let recursive = if whole_tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated empty string, for which AT_EMPTY_PATH names the descriptor itself; the
    // structure is live, initialised, and its exact size is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    nothing(result)
}

/// Puts a filter of system calls on this process, and returns the descriptor on which it reports (seccomp(2)).
pub(crate) fn filter_with_listener(program: &[seccompiler::sock_filter]) -> io::Result<OwnedFd> {
    let length = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
    let install = |flags: libc::c_ulong| {
        // The same structure under two names (linux/filter.h).
        let filter = program.as_ptr().cast_mut().cast::<libc::sock_filter>();
        let program = libc::sock_fprog { len: length, filter };
        // SAFETY: the program is live, as long as it says, and only read. A filter can take nothing from this process but
        // system calls.
        let raw = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        };
        owned(RawFd::try_from(raw).map_err(io::Error::other)?)
    };
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match install(listening | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        // Before Linux 5.19, where a signal makes a call that was reported be reported again.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(listening),
        other => other,
    }
}

/// Asks the kernel for its Landlock ABI; none when it has no Landlock, or has it switched off.
pub(crate) fn landlock_abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with LANDLOCK_CREATE_RULESET_VERSION the attribute must be null and its size zero; nothing is created.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(result).ok().filter(|abi| *abi > 0)
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: `ifreq` is a plain structure (a name and a union of plain structures) for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).unwrap_or(0);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0);
    // SAFETY: SIOCSIFFLAGS reads an `ifreq`, which is live and initialised; the socket is open. Called by number, because
    // C libraries differ in the type of the request.
    let result =
        unsafe { libc::syscall(libc::SYS_ioctl, socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    nothing(result)
}

/// Opens a socket over which the kernel lists the sockets of this network namespace (sock_diag(7)).
pub(crate) fn open_sock_diag() -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
    Ok(socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?)
}

/// Tells network namespaces from each other (socket(7), `SO_NETNS_COOKIE`, Linux 5.14).
pub(crate) fn network_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).map_err(io::Error::other)?;
    // SAFETY: the cookie is live, writable, and as long as the length says, which is live, too.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    nothing(result.into())?;
    Ok(cookie)
}

/// A child that was waited for.
pub(crate) struct Reaped {
    pub(crate) pid: i32,
    pub(crate) status: ExitStatus,
}

/// What waiting without blocking found.
pub(crate) enum Reap {
    /// A child had ended.
    One(Reaped),
    /// There are children, and none has ended.
    NoneEnded,
    /// There is no child at all.
    NoChildren,
}

/// Takes the ending of any one child without waiting.
pub(crate) fn reap_any() -> io::Result<Reap> {
    let mut status: libc::c_int = 0;
    // SAFETY: the pointer is to a live, writable local of the right type.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    match pid {
        0 => Ok(Reap::NoneEnded),
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(Reap::NoChildren),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(Reap::NoneEnded),
            error => Err(error),
        },
        pid => {
            let status = if libc::WIFSIGNALED(status) {
                ExitStatus::Signaled(u8::try_from(libc::WTERMSIG(status)).unwrap_or(u8::MAX))
            } else {
                ExitStatus::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
            };
            Ok(Reap::One(Reaped { pid, status }))
        }
    }
}

/// Blocks the given signals and returns a descriptor from which they are read instead.
pub(crate) fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals)?;
    // SAFETY: `set` is an initialised signal set; the old mask is not asked for.
    if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: -1 asks for a new descriptor; `set` is an initialised signal set.
    let raw = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    owned(raw)
}

/// Reads and forgets all signals that are waiting, and returns their numbers.
pub(crate) fn drain_signals(descriptor: BorrowedFd<'_>) -> Vec<u32> {
    const RECORD: usize = size_of::<libc::signalfd_siginfo>();
    let mut numbers = Vec::new();
    let mut record = [0_u8; RECORD];
    while let Ok(RECORD) = rustix::io::read(descriptor, &mut record) {
        // `ssi_signo` is the first field (signalfd(2)).
        numbers.push(u32::from_ne_bytes([record[0], record[1], record[2], record[3]]));
    }
    numbers
}

/// Gives every signal but SIGPIPE its default action, for the programs that this process and its children execute: what is
/// ignored is inherited. SIGPIPE, which Rust's start-up has set to be ignored, stays so in here.
pub(crate) fn default_signals() {
    for number in (1..=64).filter(|number| *number != libc::SIGPIPE) {
        // SAFETY: SIG_DFL is a valid disposition for any number; for SIGKILL, SIGSTOP and the two numbers that libc
        // keeps for itself the call fails with EINVAL and changes nothing.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Lowers a resource limit of this process, never raises it.
pub(crate) fn lower_limit(resource: u8, soft: u64, hard: u64) {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the process is this one (0); no new limit is given; the old one is valid for writes. A number that is no
    // limit's is answered with EINVAL.
    if unsafe { libc::prlimit(0, resource.into(), std::ptr::null(), &raw mut limit) } == -1 {
        return;
    }
    limit.rlim_max = limit.rlim_max.min(hard);
    limit.rlim_cur = limit.rlim_cur.min(soft).min(limit.rlim_max);
    // SAFETY: the limit is valid for reads; the old one is not asked for.
    unsafe { libc::prlimit(0, resource.into(), &raw const limit, std::ptr::null_mut()) };
}

/// Makes a set of these signals.
fn signal_set(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = no_signals();
    for signal in signals {
        // SAFETY: `set` is initialised; a number that is no signal is answered with EINVAL.
        if unsafe { libc::sigaddset(&raw mut set, *signal) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

/// As far as close_range(2) has to go: no descriptor has a larger number, and gVisor takes none.
const LAST_DESCRIPTOR: RawFd = RawFd::MAX;

/// Marks every open descriptor close-on-exec.
pub(crate) fn close_all_on_exec() -> io::Result<()> {
    // SAFETY: close_range(2) takes three integers; with CLOEXEC it closes nothing, so no owned descriptor dangles.
    // Called by number, because older C libraries lack the function.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 0, LAST_DESCRIPTOR, libc::CLOSE_RANGE_CLOEXEC) };
    match nothing(result) {
        // Kernels before 5.11.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
            open_descriptors()?.into_iter().try_for_each(|raw| {
                // SAFETY: fcntl(2) with F_SETFD takes integers; a number that is no longer open fails with EBADF.
                nothing(i64::from(unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) })).or(Ok(()))
            })
        }
        other => other,
    }
}

/// Closes whatever the process that executed us left open beyond the three standard descriptors. Only for the very start
/// of a process, before anything here owns a descriptor.
pub(crate) fn close_inherited(_proof: SingleThreaded) -> io::Result<()> {
    // SAFETY: close_range(2) takes three integers. It closes descriptors that nothing in this process owns yet: the
    // caller is the first code to run, and the proof says that no other thread opens any.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, LAST_DESCRIPTOR, 0) };
    match nothing(result) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            for raw in open_descriptors()?.into_iter().filter(|raw| *raw > 2) {
                // SAFETY: as above; closing a number that is not open fails with EBADF.
                unsafe { libc::close(raw) };
            }
            Ok(())
        }
        other => other,
    }
}

fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let numbers = std::fs::read_dir("/proc/self/fd")?;
    Ok(numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Sends a signal to a process by its number; a process that is gone is not an error.
pub(crate) fn signal_process(pid: i32, signal: i32) {
    if pid > 1 {
        // SAFETY: kill(2) takes two integers; `pid` names one process, neither a group nor everyone.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Sends a signal to the process group that this process leads; one that is gone is not an error.
pub(crate) fn signal_group(leader: i32, signal: i32) {
    if leader > 1 {
        // SAFETY: kill(2) takes two integers; the first names one group, not everyone.
        unsafe { libc::kill(-leader, signal) };
    }
}

fn owned(raw: RawFd) -> io::Result<OwnedFd> {
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor to us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn nothing(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
