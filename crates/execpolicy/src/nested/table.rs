//! Which programs run another one, and where in their arguments it begins.

/// One program that runs the command in its arguments.
pub(super) struct Wrapper {
    /// Base names.
    pub(super) names: &'static [&'static str],
    /// Short options without a value, one letter each.
    pub(super) flags: &'static str,
    /// Short options whose value is attached or the next word.
    pub(super) values: &'static str,
    /// Long options (without `--`) that stand alone; spaces between them.
    pub(super) long_flags: &'static str,
    /// Long options (without `--`) whose value follows `=` or is the next word; spaces between them.
    pub(super) long_values: &'static str,
    /// Words between the options and the command.
    pub(super) operands: usize,
    /// Whether `NAME=value` words may stand before the command.
    pub(super) assignments: bool,
    /// Options with which no command is run; spaces between them.
    pub(super) instead: &'static str,
    /// How the command runs.
    pub(super) runs: Runs,
}

/// How a wrapper runs its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// As it stands: what may run by itself may run so.
    AsItIs,
    /// Not by itself: it is a file that the wrapper reads, as a name of the file from the folder where it is.
    File,
    /// With more arguments, other rights or other files: what is allowed by itself is not thereby allowed so.
    Otherwise,
}

const PLAIN: Wrapper = Wrapper {
    names: &[],
    flags: "",
    values: "",
    long_flags: "help version",
    long_values: "",
    operands: 0,
    assignments: false,
    instead: "--help --version",
    runs: Runs::AsItIs,
};

/// The options of each are those of its manual page (coreutils 9, util-linux 2.40, findutils 4.10, sudo 1.9,
/// OpenDoas 6.8, bash 5.3).
pub(super) const WRAPPERS: &[Wrapper] = &[
    // Environment, and nothing else. `-S` is read apart.
    Wrapper {
        names: &["env"],
        flags: "i0v",
        values: "uCa",
        long_flags: "ignore-environment null debug help version block-signal default-signal \
            ignore-signal list-signal-handling",
        long_values: "unset chdir argv0",
        assignments: true,
        ..PLAIN
    },
    // Priority and scheduling.
    Wrapper { names: &["nice"], flags: "0123456789", values: "n", long_values: "adjustment", ..PLAIN },
    Wrapper {
        names: &["ionice"],
        flags: "t",
        values: "cnpPu",
        long_flags: "ignore help version",
        long_values: "class classdata pid pgid uid",
        instead: "-p -P -u --pid --pgid --uid --help --version",
        ..PLAIN
    },
    Wrapper {
        names: &["chrt"],
        flags: "abdfiorRv",
        values: "TPD",
        long_flags: "all-tasks batch deadline fifo idle other rr reset-on-fork verbose help version",
        long_values: "sched-runtime sched-period sched-deadline",
        operands: 1,
        instead: "-p --pid -m --max --help --version",
        ..PLAIN
    },
    Wrapper {
        names: &["taskset"],
        flags: "ac",
        long_flags: "all-tasks cpu-list help version",
        operands: 1,
        instead: "-p --pid --help --version",
        ..PLAIN
    },
    // How long, and with which signals, buffers and session.
    Wrapper {
        names: &["timeout", "gtimeout"],
        flags: "fpv",
        values: "ks",
        long_flags: "foreground preserve-status verbose help version",
        long_values: "kill-after signal",
        operands: 1,
        ..PLAIN
    },
    Wrapper { names: &["nohup"], ..PLAIN },
    Wrapper { names: &["setsid"], flags: "cfw", long_flags: "ctty fork wait help version", ..PLAIN },
    Wrapper { names: &["stdbuf"], values: "ioe", long_values: "input output error", ..PLAIN },
    Wrapper {
        names: &["time"],
        flags: "apqv",
        values: "fo",
        long_flags: "append portability quiet verbose help version",
        long_values: "format output",
        ..PLAIN
    },
    // Built-ins of the shell that run a program.
    Wrapper { names: &["command"], flags: "p", instead: "-v -V --help", ..PLAIN },
    Wrapper { names: &["builtin", "coproc"], ..PLAIN },
    Wrapper { names: &["exec"], flags: "cl", values: "a", ..PLAIN },
    // With arguments that come from elsewhere.
    Wrapper {
        names: &["xargs", "gxargs"],
        flags: "0oprtxeil",
        values: "aEdILnPs",
        long_flags: "null open-tty interactive no-run-if-empty verbose exit show-limits help \
            version eof replace max-lines",
        long_values: "arg-file delimiter max-args max-procs max-chars process-slot-var",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    // With the rights of somebody else.
    Wrapper {
        names: &["sudo"],
        flags: "ABbEeHKklNnPSsiVv",
        values: "CDRTUacghprtu",
        long_flags: "askpass background bell edit set-home remove-timestamp reset-timestamp list \
            non-interactive no-update preserve-groups preserve-env stdin shell login validate help \
            version",
        long_values: "auth-type chdir chroot close-from command-timeout group host login-class \
            other-user prompt role type user",
        assignments: true,
        instead: "-V -v -K --validate --remove-timestamp --version --help",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["doas"],
        flags: "Lns",
        values: "aCu",
        instead: "-L -C",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["pkexec"],
        long_flags: "disable-internal-agent keep-cwd help version",
        long_values: "user",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    // With another root, namespace, lock, tracer or terminal.
    Wrapper {
        names: &["chroot"],
        long_flags: "skip-chdir help version",
        long_values: "groups userspec",
        operands: 1,
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["unshare"],
        flags: "imnpuUCTfrcm",
        values: "SGRw",
        long_flags: "ipc mount net pid uts user cgroup time fork map-root-user map-current-user \
            map-auto mount-proc kill-child keep-caps help version",
        long_values: "setuid setgid root wd propagation setgroups map-user map-group map-users \
            map-groups monotonic boottime",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["nsenter"],
        // Values of these are attached or absent.
        flags: "amuinpCUTZrwF",
        values: "tSGW",
        long_flags: "all mount uts ipc net pid cgroup user time root wd no-fork env \
            preserve-credentials keep-caps follow-context help version",
        long_values: "target setuid setgid wdns net-socket",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["setpriv"],
        flags: "dhV",
        long_flags: "dump clear-groups keep-groups init-groups no-new-privs nnp reset-env help \
            version",
        long_values: "ruid euid rgid egid reuid regid groups inh-caps ambient-caps bounding-set \
            securebits pdeathsig ptracer selinux-label apparmor-profile landlock-access \
            landlock-rule seccomp-filter",
        instead: "-d --dump --help --version",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["prlimit"],
        // Limits are attached: `--nofile=10`, `-n10`.
        flags: "",
        values: "o",
        long_flags: "noheadings raw verbose help version core data nice fsize sigpending memlock \
            rss nofile msgqueue rtprio stack cpu nproc as locks rttime",
        long_values: "output",
        instead: "-p --pid --help --version",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["flock"],
        flags: "senuoFx",
        values: "wE",
        long_flags: "shared exclusive nonblock nb unlock close no-fork verbose help version",
        long_values: "timeout wait conflict-exit-code",
        operands: 1,
        runs: Runs::Otherwise,
        ..PLAIN
    },
    Wrapper {
        names: &["strace"],
        flags: "cCdDfFhikqrtTvVwxyYzZ",
        values: "abeEIoOpPsSuUX",
        runs: Runs::Otherwise,
        ..PLAIN
    },
    // Interpreters, for which the file that they run is the program. (What stands in their options' code is not read.)
    Wrapper {
        names: &["python", "pypy"],
        flags: "bBdEhiIOPqRsSuvVx?",
        values: "WX",
        instead: "-c -m -h -V --help --version",
        runs: Runs::File,
        ..PLAIN
    },
    Wrapper {
        names: &["node", "nodejs"],
        values: "rC",
        long_values: "require import conditions env-file experimental-loader loader title",
        instead: "-e -p -pe -h -v --eval --print --help --version",
        runs: Runs::File,
        ..PLAIN
    },
    Wrapper {
        names: &["perl"],
        flags: "acfhnpsStTuUvVwWX",
        values: "",
        instead: "-e -E -h -v --help --version",
        runs: Runs::File,
        ..PLAIN
    },
    Wrapper {
        names: &["ruby"],
        flags: "acdhlnpsSvwW",
        values: "CIr",
        instead: "-e -h -v --help --version",
        runs: Runs::File,
        ..PLAIN
    },
    MANY_PROGRAMS,
];

/// One file that is many programs: the applet is the first word.
const MANY_PROGRAMS: Wrapper =
    Wrapper { names: &["busybox", "toybox"], instead: "--list --install --help", ..PLAIN };

/// The dynamic loader, called as a program, runs the file that it is given (ld.so(8)).
pub(super) const LOADER: Wrapper = Wrapper {
    long_flags: "verify list list-tunables list-diagnostics inhibit-cache help version",
    long_values: "library-path inhibit-rpath audit preload argv0 glibc-hwcaps-prepend \
        glibc-hwcaps-mask",
    instead: "--verify --list --list-tunables --list-diagnostics --help --version",
    runs: Runs::Otherwise,
    ..PLAIN
};

/// The row for a base name.
pub(super) fn row(name: &[u8]) -> Option<&'static Wrapper> {
    let name = std::str::from_utf8(name).ok()?;
    if is_loader(name) {
        return Some(&LOADER);
    }
    // `python3.12` is `python`.
    let family = name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name) || wrapper.names.contains(&family))
}

fn is_loader(name: &str) -> bool {
    ["ld-linux", "ld-musl", "ld64.so", "ld.so"].iter().any(|start| name.starts_with(start))
        && name.contains(".so")
}

/// Whether what a program of this base name runs is never executed: it becomes that itself, or reads it.
pub(super) fn runs_in_its_own_process(name: &[u8]) -> bool {
    let known = std::str::from_utf8(name).unwrap_or_default();
    let reads = row(name).is_some_and(|wrapper| wrapper.runs == Runs::File);
    reads || is_loader(known) || MANY_PROGRAMS.names.contains(&known)
}
