#!/usr/bin/env python3
"""Boots other kernels under emulation, examines the server there, and compares with expected.toml.

    kernels.py [--kernels "6.1 6.12"] [--settings NAME,NAME | --quick] [--suites [--filter "NAME..."]] [--record]

`--quick` examines under few settings. `--suites` runs the escape suite and the sandbox's there, too.
`--record` writes what was seen to seen.json and docs/platforms.md. The server, wrapper and Bash come from dist/bin.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import platforms
import suites

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
MACHINES = REPOSITORY / "target/machines/kernels"
USERS = ("root", "user")
PROGRAMS = ("exec-server", "execve-wrapper", "bash")
BASE_PACKAGES = ("python3", "git", "iproute2", "apparmor")

# Emulation is slow, and the machine that emulates may be shared.
BOOT_SECONDS = 240
ROW_SECONDS = 240
SUITE_SECONDS = 3600


def say(text):
    print(f"test-kernels: {text}", file=sys.stderr, flush=True)


class Failure(Exception):
    """Something that ends the run of one kernel."""


def provide(*arguments):
    done = subprocess.run([HERE / "kernels.sh", *arguments], check=False)
    if done.returncode:
        raise Failure(f"kernels.sh {' '.join(arguments)} failed")


def rows(expected, settings, options):
    """The rows of one kernel: setting → user → level, in the order of the settings."""
    for setting in expected:
        if setting not in settings:
            sys.exit(f"expected.toml: nobody knows the setting {setting!r}")
    found = {}
    for setting, about in settings.items():
        row = expected.get(setting)
        chosen = setting in options.settings.split(",") if options.settings else about.get("quick") or not options.quick
        if row is not None and chosen:
            found[setting] = {user: row.get(user, row.get("both")) for user in USERS if user in row or "both" in row}
    if not found:
        raise Failure("nothing is expected under the chosen settings, so nothing would be tried")
    return found


def boots(levels, settings):
    """The boots of one kernel: kernel arguments → plan."""
    found = {}
    for setting, row in levels.items():
        about = settings[setting]
        plan = found.setdefault(about.get("boot", ""), [])
        plan.append({"setting": setting, "users": list(row), "calls": about.get("calls", False)})
    return found


def machine_disk(folder, plan, programs=REPOSITORY / "dist/bin", port="/dev/ttyS1"):
    """What the second disk holds: the programs, the scripts that run in the machine, and what they shall do.

    The port is where the machine writes what it finds.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    for name in PROGRAMS:
        shutil.copy2(programs / name, folder / "bin" / name)
    shutil.copytree(HERE / "guest", folder / "guest", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "run").write_text(f"#!/bin/bash\n/machine/guest/examine.py /machine/plan.json {port}\n")
    (folder / "run").chmod(0o755)
    return folder


def image_of(folder, size):
    image = folder.with_suffix(".ext4")
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", "-d", folder, image], check=True)
    return image


def qemu(kernel, disks, arguments, console, results, memory):
    """Starts the machine. Its disks forget what is written."""
    command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory)]
    command += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{console}", "-serial", f"file:{results}"]
    command += ["-kernel", MACHINES / kernel / "vmlinuz", "-initrd", MACHINES / kernel / "initrd"]
    for index, disk in enumerate(disks):
        command += ["-drive", f"file={disk},if=none,id=d{index},format=raw,snapshot=on"]
        command += ["-device", f"virtio-blk-pci,drive=d{index}"]
    # Without a clock that emulation can keep, kernels stop at the timer's test.
    words = "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off no_timer_check tsc=reliable"
    command += ["-append", f"{words} {arguments}"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def wait_for(process, console, seconds):
    """Waits until the machine is off; one that hangs while it boots is told from one that hangs later."""
    start, up = time.monotonic(), None
    while process.poll() is None:
        time.sleep(0.2)
        now = time.monotonic()
        if up is None and "### up" in console.read_text(errors="replace"):
            up = now
        if up is None and now - start > BOOT_SECONDS:
            return "boot"
        if up is not None and now - up > seconds:
            return "run"
    return None if up is not None else "boot"


def run(kernel, disks, arguments, seconds, name, memory=1024, emulate=qemu):
    """Boots, waits until the machine switches itself off, and returns the console and the lines of the second serial port."""
    console, results = MACHINES / kernel / f"{name}.console", MACHINES / kernel / f"{name}.results"
    for attempt in (1, 2):
        console.write_text("")
        results.write_text("")
        process = emulate(kernel, disks, arguments, console, results, memory)
        try:
            hung = wait_for(process, console, seconds)
        finally:
            process.kill()
            process.wait()
        if hung is None:
            return console.read_text(errors="replace"), results.read_text(errors="replace").splitlines()
        tail = console.read_text(errors="replace")[-1500:]
        if hung == "run":
            raise Failure(f"the machine was not done after {seconds} s: {tail}\nits console: {console}")
        say(f"{kernel}: did not boot within {BOOT_SECONDS} s" + (", once more" if attempt == 1 else ""))
    raise Failure(f"the machine does not boot: {tail}\nits console: {console}")


DOOR = "+door"


def differences(found, expected, says, door=True):
    """What of one examination is not as expected, in sentences. Calls are behind the kernel's door, or not as `door` says."""
    wrong = list(found["failures"])
    of_calls = expected + DOOR if door and "+" in expected else expected
    for which, level in (("doctor", expected), ("call", of_calls)):
        if which in found and found[which] != level:
            wrong.append(f"{which} says {found[which]}, expected is {level}")
    text = " ".join([found.get("refusal", ""), *found.get("words", [])])
    if expected == "refused" and found.get("doctor") == "refused" and says not in text:
        wrong.append(f"the refusal does not say {says!r}: {text}")
    return wrong


def examine(name, expected, settings, options):
    """Examines one kernel. Returns what was seen, and what was wrong."""
    seen, wrong = {}, []
    levels = rows(expected, settings, options)
    for number, (arguments, plan) in enumerate(boots(levels, settings).items()):
        start = time.monotonic()
        folder = machine_disk(MACHINES / name / f"machine-{number}", plan)
        disks = [MACHINES / "base.ext4", image_of(folder, 512 << 20)]
        count = sum(len(row["users"]) for row in plan)
        _, lines = run(name, disks, arguments, ROW_SECONDS * count, f"boot-{number}")
        examinations = [json.loads(line) for line in lines]
        for found in examinations:
            setting, user = found["setting"], found["user"]
            row = expected[setting]
            bad = differences(found, levels[setting][user], row.get("says", ""), row.get("door", True))
            wrong += [f"{name}, {setting}, {user}: {text}" for text in bad]
            seen.setdefault(setting, {})[user] = found
        if len(lines) != count:
            wrong.append(f"{name}: {len(lines)} of {count} examinations came to an end")
        tried = sum(found.get("tried", 0) for found in examinations)
        say(f"{name}: {len(lines)} examinations with {tried} calls: {time.monotonic() - start:.0f} s")
    return seen, wrong


def run_suites(name, test_filter):
    """Runs the suites on one kernel, and returns what failed."""
    start = time.monotonic()
    provide("root", "suites", *suites.PACKAGES)
    programs = suites.build()
    folder = suites.disk(MACHINES / name / "suites", programs, test_filter)
    disks = [MACHINES / "suites.ext4", image_of(folder, 2 << 30)]
    shutil.rmtree(folder)
    console, results = run(name, disks, "", SUITE_SECONDS, "suites", memory=3072)
    passed = sum(line.startswith("test ") and line.rstrip().endswith("... ok") for line in console.splitlines())
    say(f"{name}: {passed} tests of the suites passed: {time.monotonic() - start:.0f} s")
    return [f"{name}: {text}; see {MACHINES / name}/suites.console" for text in suites.verdicts(console, results, programs)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--settings", default="", help="names of settings, with commas between them; all if none is named")
    parser.add_argument("--suites", action="store_true")
    parser.add_argument("--filter", default="", help="names of tests of the suites, as cargo takes them")
    parser.add_argument("--record", action="store_true")
    return parser.parse_args()


def main():
    options = arguments()
    table = tomllib.loads((HERE / "expected.toml").read_text())
    kernels, settings = table["kernels"], table["settings"]
    wanted = "quick" if options.quick else "package"
    chosen = options.kernels.split() or [name for name, kernel in kernels.items() if wanted in kernel]
    for name in chosen:
        if "package" not in kernels.get(name, {}):
            sys.exit(f"test-kernels: no such kernel: {name}; {kernels.get(name, {}).get('not-run', 'see expected.toml')}")
    for setting in filter(None, options.settings.split(",")):
        if setting not in settings:
            sys.exit(f"test-kernels: no such setting: {setting}; see expected.toml")
    wrong, seen, start = [], {}, time.monotonic()
    provide("packages")
    provide("root", "base", *BASE_PACKAGES)
    for name in chosen:
        try:
            provide("kernel", name, kernels[name]["suite"], kernels[name]["package"])
            found, bad = examine(name, table["expected"].get(name, {}), settings, options)
            release = (MACHINES / name / "release").read_text().strip()
            seen[name] = {"release": release, "settings": found}
            if options.suites:
                bad += run_suites(name, options.filter)
        except Failure as failure:
            bad = [f"{name}: {failure}"]
        for text in bad:
            say(f"FAILED {text}")
        wrong += bad
    size = subprocess.run(["du", "-sh", MACHINES], stdout=subprocess.PIPE, text=True, check=False).stdout.split()[0]
    say(f"{len(chosen)} kernels: {time.monotonic() - start:.0f} s, {size} on disk below {MACHINES}")
    if options.record and not wrong:
        platforms.record(seen)
    print(f"{len(seen)} kernels seen, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
