//! Tries one thing from inside a sandbox and prints `ok` or the name of the kernel's error, so that a test can prove
//! the cause of a denial. `sandbox-test-try WHAT ARGUMENTS…`; see `main` for the list.
#![expect(unsafe_code, reason = "system calls are made by number, with arguments that change nothing")]
#![expect(clippy::print_stdout, reason = "the outcome is this program's output")]

use std::fs::{self, OpenOptions};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;

pub(super) fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["read", path] => fs::read(path).map(drop),
        ["list", path] => fs::read_dir(path).map(drop),
        ["write", path] => OpenOptions::new().write(true).open(path).map(drop),
        ["create", path] => OpenOptions::new().write(true).create_new(true).open(path).map(drop),
        ["truncate", path] => {
            let path = std::ffi::CString::new(*path).unwrap_or_default();
            // SAFETY: the path is NUL-terminated; truncate(2) to a file's own length changes nothing.
            told(unsafe { libc::truncate(path.as_ptr(), 0) }.into())
        }
        ["mkdir", path] => fs::create_dir(path),
        ["remove", path] => fs::remove_file(path),
        ["rename", from, to] => fs::rename(from, to),
        ["link", from, to] => fs::hard_link(from, to),
        ["symlink", from, to] => std::os::unix::fs::symlink(from, to),
        ["chmod", path] => {
            fs::metadata(path).and_then(|metadata| fs::set_permissions(path, metadata.permissions()))
        }
        ["connect", path] => UnixStream::connect(path).map(drop),
        ["send", path] => UnixDatagram::unbound().and_then(|socket| socket.send_to(b"x", path)).map(drop),
        ["connect-abstract", name] => SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixStream::connect_addr(&address))
            .map(drop),
        ["pair"] => UnixStream::pair().map(drop),
        ["datagram-pair"] => UnixDatagram::pair().map(drop),
        ["listen", path] => UnixListener::bind(path).map(drop),
        ["connect-tcp", address] => std::net::TcpStream::connect(address).map(drop),
        ["listen-tcp"] => std::net::TcpListener::bind("127.0.0.1:0").map(drop),
        ["kill", pid] => call(libc::SYS_kill, &[number(pid), 0]),
        ["call", name, rest @ ..] => {
            let rest: Vec<i64> = rest.iter().map(|word| number(word)).collect();
            call(by_name(name), &rest)
        }
        // The same call by its x32 number.
        ["x32"] => call(libc::SYS_getpid | 0x4000_0000, &[]),
        // Becomes a program in a world whose kernel has neither Landlock nor namespaces to give.
        ["without-layers", program, rest @ ..] => {
            without_layers().and_then(|()| Err(std::process::Command::new(program).args(rest).exec()))
        }
        // Children that wait, until no more can be made; how many is told.
        ["forks", most] => {
            println!("{}", forks(number(most)));
            return;
        }
        _ => Err(io::Error::other("unknown request")),
    };
    match outcome {
        Ok(()) => println!("ok"),
        Err(error) => println!("{}", error.raw_os_error().map_or_else(|| error.to_string(), name_of)),
    }
}

fn number(text: &str) -> i64 {
    text.strip_prefix("0x")
        .map_or_else(|| text.parse(), |digits| i64::from_str_radix(digits, 16))
        .unwrap_or(0)
}

fn call(number: i64, arguments: &[i64]) -> io::Result<()> {
    let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: tests pass only calls and arguments that do nothing, or fail, where they are not refused: null pointers,
    // descriptors that are not open, signal 0.
    let result = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if result == 0 && number == libc::SYS_clone {
        std::process::exit(0);
    }
    told(result)
}

fn told(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn forks(most: i64) -> i64 {
    for made in 0..most {
        // SAFETY: this process has one thread; the child only waits for a signal.
        match unsafe { libc::fork() } {
            -1 => return made,
            0 => loop {
                // SAFETY: pause(2) takes nothing.
                unsafe { libc::pause() };
            },
            _ => {}
        }
    }
    most
}

/// Filters Landlock and new namespaces away, with the answer of a kernel that does not know them.
fn without_layers() -> io::Result<()> {
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const NAMESPACES: u32 = 0x7e02_0000; // The bits CLONE_NEW* of clone(2).
    let call = |number: i64| u32::try_from(number).unwrap_or(0);
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD_WORD, 0, 0, 0), // seccomp_data.nr
        step(JUMP_EQUAL, 6, 0, call(libc::SYS_landlock_create_ruleset)),
        step(JUMP_EQUAL, 5, 0, call(libc::SYS_unshare)),
        step(JUMP_EQUAL, 4, 0, call(libc::SYS_clone3)),
        step(JUMP_EQUAL, 0, 2, call(libc::SYS_clone)),
        step(LOAD_WORD, 0, 0, 16), // The low half of args[0].
        step(JUMP_SET, 1, 0, NAMESPACES),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ];
    let filter =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap_or(0), filter: program.as_mut_ptr() };
    // SAFETY: this prctl takes numbers only.
    told(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    // SAFETY: the filter points to `len` instructions, which the kernel copies and checks.
    told(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) }.into())
}

fn by_name(name: &str) -> i64 {
    match name {
        "add_key" => libc::SYS_add_key,
        "bpf" => libc::SYS_bpf,
        "chroot" => libc::SYS_chroot,
        "clone" => libc::SYS_clone,
        "clone3" => libc::SYS_clone3,
        "getpid" => libc::SYS_getpid,
        "init_module" => libc::SYS_init_module,
        "io_uring_setup" => libc::SYS_io_uring_setup,
        "ioctl" => libc::SYS_ioctl,
        "kexec_load" => libc::SYS_kexec_load,
        "keyctl" => libc::SYS_keyctl,
        "mount" => libc::SYS_mount,
        "mount_setattr" => libc::SYS_mount_setattr,
        "move_mount" => libc::SYS_move_mount,
        "open_by_handle_at" => libc::SYS_open_by_handle_at,
        "open_tree" => libc::SYS_open_tree,
        "perf_event_open" => libc::SYS_perf_event_open,
        "pidfd_getfd" => libc::SYS_pidfd_getfd,
        "pivot_root" => libc::SYS_pivot_root,
        "process_vm_readv" => libc::SYS_process_vm_readv,
        "prlimit64" => libc::SYS_prlimit64,
        "ptrace" => libc::SYS_ptrace,
        "semget" => libc::SYS_semget,
        "setns" => libc::SYS_setns,
        "shmat" => libc::SYS_shmat,
        "shmget" => libc::SYS_shmget,
        "msgget" => libc::SYS_msgget,
        "mq_open" => libc::SYS_mq_open,
        "socket" => libc::SYS_socket,
        "umount2" => libc::SYS_umount2,
        "unshare" => libc::SYS_unshare,
        "userfaultfd" => libc::SYS_userfaultfd,
        _ => -1,
    }
}

fn name_of(errno: i32) -> String {
    let name = match errno {
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EEXIST => "EEXIST",
        libc::EFAULT => "EFAULT",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENOENT => "ENOENT",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENOTTY => "ENOTTY",
        libc::EPERM => "EPERM",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::ENXIO => "ENXIO",
        libc::EROFS => "EROFS",
        libc::ESRCH => "ESRCH",
        libc::EXDEV => "EXDEV",
        libc::EISDIR => "EISDIR",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        other => return format!("errno {other}"),
    };
    name.to_owned()
}
