//! Attempts on processes, sockets, descriptors and the kernel's interfaces.

use end_to_end_tests::word;

use crate::attempts::{Attempt, attempt};
use crate::place::{Attacked, Place};
use crate::walls::{
    ABSTRACT, COMMAND_LINES, DATAGRAMS, DESCRIPTORS, IPC, KILLED, LATE_SOCKETS, NO_ANSWER, NO_NAME, OUTSIDE,
    PROCESS_FILES, REFUSED, SIGNALS, SOCKETS, TCP, UNKNOWN, UNSUPPORTED,
};

#[rustfmt::skip]
pub(crate) fn attempts(place: &Place, attacked: &Attacked) -> Vec<Attempt> {
    let t = word(&place.helper());
    let ws = word(&place.world.workdir());
    let out = word(&place.outside);
    let home = word(place.world.home());
    let server = attacked.server.pid();
    let outsider = place.outsider.id();
    let (tcp, abstract_name) = (&place.tcp, &place.abstract_name);
    let call = |words: &str| format!("{t} call {words}");
    vec![
        attempt("12", "close the wrapper's socket", format!("{t} write {ws}/file"), format!("exec 240>&-; {t} write {out}/file"), NO_ANSWER),
        attempt("12", "forge a message on it", format!("{t} write {ws}/file"), format!("printf nonsense >&240; {t} write {out}/file"), OUTSIDE),
        attempt("12", "leave it to a program", format!("{t} read /proc/self/fd/0"), format!("{t} read /proc/self/fd/240"), DESCRIPTORS),
        attempt("12", "open another process's socket by name", format!("{t} read /proc/$$/status"), format!("{t} read /proc/$$/fd/240"), NO_NAME),
        attempt("13", "kill the server", format!("{t} kill 0"), format!("{t} kill {server}"), SIGNALS),
        attempt("13", "write the server's memory", "", format!("{t} write /proc/{server}/mem"), PROCESS_FILES),
        attempt("13", "open the server's files by its descriptors", format!("{t} read /proc/self/fd/0"), format!("{t} read /proc/{server}/fd/2"), PROCESS_FILES),
        attempt("13", "trace", call("getpid"), call("ptrace 0"), REFUSED),
        attempt("13", "read memory", "", call("process_vm_readv 1"), REFUSED),
        attempt("13", "take a descriptor", "", call("pidfd_getfd 0 0 0"), REFUSED),
        attempt("13", "lower the server's limits", call("prlimit64 0 7 0 0"), call(&format!("prlimit64 {server} 7 0 0")), REFUSED),
        attempt("13", "lower its supervisor's limits", call("prlimit64 0 7 0 0"), call("prlimit64 $PPID 7 0 0"), REFUSED),
        attempt("48", "a daemon's socket", format!("{t} listen {ws}/own.sock"), format!("{t} connect {home}/run/daemon.sock"), SOCKETS),
        attempt("48", "a datagram to a daemon's socket", format!("{t} pair"), format!("{t} send {home}/run/log.sock"), DATAGRAMS),
        attempt("48", "a daemon's socket, opened after the start", "", format!("{t} connect {home}/run/late.sock"), LATE_SOCKETS),
        attempt("48", "io_uring", "", call("io_uring_setup 1 0"), UNKNOWN),
        attempt("49", "TIOCSTI", "", call("ioctl 0 0x5412 0"), REFUSED),
        attempt("49", "TIOCSTI, high bits set", "", call("ioctl 0 0x100005412 0"), REFUSED),
        attempt("49", "TIOCLINUX", "", call("ioctl 0 0x541c 0"), REFUSED),
        attempt("49", "a descriptor that the server inherited", format!("{t} read /proc/self/fd/0"), format!("{t} write /proc/self/fd/9"), DESCRIPTORS),
        attempt("50", "abstract socket", format!("{t} pair"), format!("{t} connect-abstract {abstract_name}"), ABSTRACT),
        attempt("50", "System V shared memory", "", call("shmget 0x65736370 0 0"), IPC),
        attempt("50", "System V semaphores", "", call("semget 0x65736370 0 0"), IPC),
        attempt("50", "System V messages", "", call("msgget 0x65736370 0"), IPC),
        attempt("51", "unshare users", call("unshare 0"), call("unshare 0x10000000"), REFUSED),
        attempt("51", "unshare mounts", "", call("unshare 0x20000"), REFUSED),
        attempt("51", "clone users", call("clone 17"), call("clone 0x10000011"), REFUSED),
        attempt("51", "clone3", "", call("clone3 0 0"), UNKNOWN),
        attempt("51", "enter a namespace", "", call("setns 0 0"), REFUSED),
        attempt("51", "mount", "", call("mount 0 0 0 0 0"), REFUSED),
        attempt("51", "umount", "", call("umount2 0 0"), REFUSED),
        attempt("51", "open_tree", "", call("open_tree 0 0 0"), REFUSED),
        attempt("51", "move_mount", "", call("move_mount 0 0 0 0 0"), REFUSED),
        attempt("51", "mount_setattr", "", call("mount_setattr 0 0 0 0 0"), REFUSED),
        attempt("51", "pivot_root", "", call("pivot_root 0 0"), REFUSED),
        attempt("51", "chroot", "", call("chroot 0"), REFUSED),
        attempt("51", "bpf", "", call("bpf 0 0 0"), REFUSED),
        attempt("51", "userfaultfd", "", call("userfaultfd 0"), REFUSED),
        attempt("51", "perf", "", call("perf_event_open 0 0 0 0 0"), REFUSED),
        attempt("51", "keyctl", "", call("keyctl 0 0 0 0 0"), REFUSED),
        attempt("51", "add_key", "", call("add_key 0 0 0 0 0"), REFUSED),
        attempt("51", "load a module", "", call("init_module 0 0 0"), REFUSED),
        attempt("51", "kexec", "", call("kexec_load 0 0 0 0"), REFUSED),
        attempt("51", "open by handle", "", call("open_by_handle_at 0 0 0"), REFUSED),
        attempt("54", "signal a process outside", format!("{t} kill 0"), format!("{t} kill {outsider}"), SIGNALS),
        attempt("55", "a process's environment", format!("{t} read /proc/self/environ"), format!("{t} read /proc/{outsider}/environ"), PROCESS_FILES),
        attempt("55", "the server's environment", "", format!("{t} read /proc/{server}/environ"), PROCESS_FILES),
        attempt("55", "a process's command line", format!("{t} read /proc/self/cmdline"), format!("{t} read /proc/{outsider}/cmdline"), COMMAND_LINES),
        attempt("-", "TCP to a server of the host", format!("{t} pair"), format!("{t} connect-tcp {tcp}"), TCP),
        attempt("-", "TCP to the internet", "", format!("{t} connect-tcp 192.0.2.1:80"), TCP),
        attempt("-", "packet socket", call("socket 1 1 0"), call("socket 17 3 0"), REFUSED),
        attempt("-", "vsock", "", call("socket 40 1 0"), REFUSED),
        attempt("-", "netlink audit", "", call("socket 16 3 9"), UNSUPPORTED),
        // Only x86-64 has a second set of numbers; elsewhere the call does not exist.
        attempt("9", "x32 numbers", "", format!("{t} x32"), if cfg!(target_arch = "x86_64") { KILLED } else { UNKNOWN }),
    ]
}
