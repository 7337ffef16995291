#!/usr/bin/env python3
"""Boots emulated arm64 machines with Debian's kernels, and examines there what `make package` made, as kernels.py does on x86-64.

    arm64.py [--kernels "6.1 6.12"]

The tarballs in dist/npm are installed for the machine by npm; the server is called as it is and through the launcher, which
the machine's own Node.js runs. Levels are those that expected.toml has for the same kernel on x86-64.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import tomllib

import kernels

MACHINES = kernels.REPOSITORY / "target/machines/arm64"
SUITES = {"6.1": "bookworm", "6.12": "trixie"}
PLAN = [
    {"setting": "as it is", "users": ["root", "user"], "calls": True},
    {"setting": "through the launcher", "users": ["user"], "calls": False},
]


def say(text):
    print(f"test-arm64: {text}", file=sys.stderr, flush=True)


def provide(*arguments):
    if subprocess.run([kernels.HERE / "arm64.sh", *arguments], check=False).returncode:
        sys.exit(f"arm64.sh {' '.join(map(str, arguments))} failed")


def qemu(kernel, disks, arguments, console, results, memory):
    """Starts the machine. Its disks forget what is written, and what it finds out comes through a port of virtio's."""
    command = ["qemu-system-aarch64", "-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72", "-smp", "2", "-m", str(memory)]
    command += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{console}"]
    command += ["-chardev", f"file,id=results,path={results}", "-device", "virtio-serial-pci"]
    command += ["-device", "virtserialport,chardev=results,name=results"]
    command += ["-kernel", kernel / "vmlinuz", "-initrd", kernel / "initrd"]
    for index, disk in enumerate(disks):
        command += ["-drive", f"file={disk},if=none,id=d{index},format=raw,snapshot=on"]
        command += ["-device", f"virtio-blk-pci,drive=d{index}"]
    command += ["-append", f"console=ttyAMA0 quiet loglevel=3 panic=-1 {arguments}"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def machine_disk():
    """What the second disk holds: the packages as npm installs them for this platform, and the scripts that try them."""
    installed, folder = MACHINES / "installed", MACHINES / "machine"
    provide("install", installed)
    programs = installed / "node_modules/shell-tool-mcp-linux-arm64/bin"
    kernels.machine_disk(folder, PLAN, programs=programs, port="/dev/vport0p1")
    shutil.copytree(installed, folder / "installed", symlinks=True)
    return kernels.image_of(folder, 256 << 20)


def examine(name, disk, expected):
    """Examines one kernel. Returns what was wrong, in sentences."""
    start = time.monotonic()
    count = sum(len(row["users"]) for row in PLAN)
    disks = [MACHINES / "root.ext4", disk]
    _, lines = kernels.run(MACHINES / name, disks, "", kernels.ROW_SECONDS * count, "boot", emulate=qemu)
    wrong = []
    for found in map(json.loads, lines):
        bad = kernels.differences(found, expected[found["user"]], "")
        wrong += [f"{name}, {found['setting']}, {found['user']}: {text}" for text in bad]
        say(f"{name}, {found['setting']}, {found['user']}: {found.get('call')}, {found.get('tried', 0)} calls, {len(bad)} wrong")
    if len(lines) != count:
        wrong.append(f"{name}: {len(lines)} of {count} examinations came to an end")
    say(f"{name}: {time.monotonic() - start:.0f} s")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", default=" ".join(SUITES))
    chosen = parser.parse_args().kernels.split()
    table = tomllib.loads((kernels.HERE / "expected.toml").read_text())
    start, wrong = time.monotonic(), []
    provide("packages")
    provide("root")
    disk = machine_disk()
    for name in chosen:
        provide("kernel", name, SUITES[name])
        level = table["expected"][name]["as it is"]
        try:
            wrong += examine(name, disk, {user: level.get(user, level.get("both")) for user in kernels.USERS})
        except kernels.Failure as failure:
            wrong.append(f"{name}: {failure}")
    for text in wrong:
        say(f"FAILED {text}")
    size = subprocess.run(["du", "-sh", MACHINES], capture_output=True, text=True, check=True).stdout.split()[0]
    say(f"{len(chosen)} kernels: {time.monotonic() - start:.0f} s, {size} on disk below {MACHINES}")
    print(f"{len(chosen)} kernels seen on arm64, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
