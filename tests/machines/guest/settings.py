"""The settings that a machine is examined under: each is applied for one examination and taken back."""

import contextlib
import subprocess

SERVER = "/machine/bin/exec-server"
LOAD = "apparmor_parser --replace /machine/guest/apparmor"
REMOVE = "apparmor_parser --remove /machine/guest/apparmor"


class Setting:
    """What is different while the server is examined.

    sysctls    file below /proc/sys → value; one that this kernel does not have is an error
    commands   run before, and others after
    around     a command line that the server is started by
    workspace  where the server works, if not in the home folder
    """

    def __init__(self, sysctls=None, before=(), after=(), around=(), workspace=None):
        self.sysctls = sysctls or {}
        self.before, self.after, self.around = before, after, list(around)
        self.workspace = workspace

    @contextlib.contextmanager
    def applied(self):
        old = {name: read(name) for name in self.sysctls}
        try:
            for name, value in self.sysctls.items():
                write(name, value)
            for command in self.before:
                run(command)
            yield
        finally:
            for command in self.after:
                run(command)
            for name, value in old.items():
                # What can only be raised (ptrace_scope=3) stays until the machine ends: its row comes last.
                with contextlib.suppress(OSError):
                    write(name, value)


def read(name):
    with open(f"/proc/sys/{name}", encoding="ascii") as file:
        return file.read().strip()


def write(name, value):
    with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


def run(command):
    done = subprocess.run(["bash", "-ec", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise OSError(f"{command}: {done.stdout.decode(errors='replace').strip()}")


def without(*names):
    """The server under a filter that answers ENOSYS, as kernels do that do not have these system calls."""
    return Setting(around=["/machine/guest/without.py", *names, "--"])


def apparmor(profile):
    return Setting(before=[f"{LOAD}/{profile}"], after=[f"{REMOVE}/{profile}"])


# In the order of Linux's versions: what a kernel before it lacks.
SINCE_5_12 = ["mount_setattr"]
SINCE_5_13 = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]

SETTINGS = {
    "as it is": Setting(),
    "through the launcher": Setting(around=["/machine/guest/launcher"]),
    "unprivileged_userns_clone=0": Setting({"kernel/unprivileged_userns_clone": 0}),
    "max_user_namespaces=0": Setting({"user/max_user_namespaces": 0}),
    "max_net_namespaces=0": Setting({"user/max_net_namespaces": 0}),
    "max_pid_namespaces=0": Setting({"user/max_pid_namespaces": 0}),
    "max_mnt_namespaces=0": Setting({"user/max_mnt_namespaces": 0}),
    "max_ipc_namespaces=0": Setting({"user/max_ipc_namespaces": 0}),
    "lsm= without landlock": Setting(),
    "AppArmor denies capabilities": apparmor("no-capabilities"),
    "AppArmor denies userns": apparmor("no-userns"),
    # Of two profiles that fit a path, the one that names it more exactly is attached.
    "AppArmor with our profile": Setting(
        before=[f"{SERVER} setup apparmor > /run/profile", f"{LOAD}/no-capabilities", "apparmor_parser --replace /run/profile"],
        after=["apparmor_parser --remove /run/profile", f"{REMOVE}/no-capabilities"],
    ),
    "ptrace_scope=0": Setting({"kernel/yama/ptrace_scope": 0}),
    "ptrace_scope=1": Setting({"kernel/yama/ptrace_scope": 1}),
    "ptrace_scope=2": Setting({"kernel/yama/ptrace_scope": 2}),
    "ptrace_scope=3": Setting({"kernel/yama/ptrace_scope": 3}),
    "hidepid=2": Setting(before=["mount -o remount,hidepid=2 /proc"], after=["mount -o remount,hidepid=0 /proc"]),
    # The server's own folder must be where it can be written: doctor says so otherwise.
    "read-only root": Setting(
        before=["install -d /run/codex-0", "install -d -o 1000 /run/codex-1000", "mount -o remount,ro /"],
        after=["mount -o remount,rw /"],
        around=["sh", "-c", 'CODEX_HOME=/run/codex-$(id -u) exec "$@"', "sh"],
        workspace="/tmp/workspace",
    ),
    "inotify limits 0": Setting({"fs/inotify/max_user_instances": 0, "fs/inotify/max_user_watches": 0}),
    "cgroup v1": Setting(
        before=["umount /sys/fs/cgroup", "mount -t cgroup -o pids cgroup /sys/fs/cgroup"],
        after=["umount /sys/fs/cgroup", "mount -t cgroup2 cgroup2 /sys/fs/cgroup"],
    ),
    "no cgroups": Setting(
        before=["umount /sys/fs/cgroup"], after=["mount -t cgroup2 cgroup2 /sys/fs/cgroup"]
    ),
    "calls as in 5.12": without(*SINCE_5_13),
    "calls as in 5.11": without(*SINCE_5_12, *SINCE_5_13),
    "no mount_setattr": without(*SINCE_5_12),
}
