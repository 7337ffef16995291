#!/usr/bin/env python3
"""Runs the server in containers of many kinds, and compares with containers.toml.

    containers.py [--containers "podman docker"] [--runtimes "crun gvisor"]

In each: doctor's level and that of a call, the walls (guest/calls.py), and the sessions that enforce nothing. Where doctor names
options for a container, it is run once more with them. The server, wrapper and Bash come from dist/bin.
"""

import argparse
import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
MACHINES = REPOSITORY / "target/machines/containers"
USERS = {"root": 0, "user": 1000}
PACKAGES = ("python3", "git", "iproute2", "procps")
# For one container. gVisor is slow, and the machine may be shared.
SECONDS = 600


def say(text):
    print(f"test-containers: {text}", file=sys.stderr, flush=True)


def provide(*arguments):
    if subprocess.run([HERE / "containers.sh", *arguments], check=False).returncode:
        sys.exit(f"containers.sh {' '.join(arguments)} failed")


def runtime_options(name, runtime):
    """Options of podman, and of `podman run`."""
    flags = [word for flag in runtime.get("flags", []) for word in ("--runtime-flag", flag)]
    program = str(MACHINES / name / "usr/bin/runsc") if "suite" in runtime else name
    return ["--runtime", program, *flags], runtime.get("options", [])


def run(name, runtime, user, options):
    """Runs the server in one container; returns what contained.py found."""
    before, after = runtime_options(name, runtime)
    uid, home = USERS[user], "/root" if user == "root" else "/home/user"
    command = [HERE / "containers.sh", "podman", *before, "run", "--rm", f"--timeout={SECONDS}", "--network=none", *after]
    # Podman's own are higher than what this may have.
    command += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]
    command += ["--user", f"{uid}:{uid}", "--env", f"HOME={home}", "--env", f"USER={user}", "--env", "LANG=C.UTF-8"]
    command += ["--volume", f"{REPOSITORY}/dist/bin:/machine/bin:ro", "--volume", f"{HERE}/guest:/machine/guest:ro"]
    for folder in (home, f"/run/outside-{uid}"):
        command += ["--tmpfs", f"{folder}:mode=1777,exec"]
    options = [option.replace("PROFILE", str(HERE / "docker-seccomp.json")) for option in options]
    # With a layer over it: nothing stays.
    command += [*options, "--rootfs", f"{MACHINES}/root:O", "/machine/guest/contained.py"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        text = (done.stdout + done.stderr).decode(errors="replace")
        return {"failures": [f"podman ended with {done.returncode}: {text[-1500:]}"]}


def advice(hints):
    """The options of `podman run` that hints name."""
    found = re.findall(r"--(?:security-opt|cap-add)[ =][\w=/-]+", " ".join(hints))
    return [word for option in dict.fromkeys(found) for word in re.split(r"[ =]", option, maxsplit=1)]


def without_abi(level):
    """A level without what is the kernel's: which Landlock it has, and whether calls are behind its door."""
    return re.sub(r"landlock-\d+", "landlock", level).removesuffix("+door")


def differences(found, expected, says):
    """What of one container is not as expected, in sentences."""
    wrong = list(found["failures"])
    for which in ("doctor", "call"):
        if which in found and without_abi(found[which]) != expected:
            wrong.append(f"{which} says {found[which]}, expected is {expected}")
    if found.get("doctor") == "refused":
        told = {"doctor": " ".join([*found["words"], *found["hints"]]), "the call": found.get("refusal", "")}
        wrong += [
            f"the refusal of {who} does not say {text!r}: {words}"
            for who, words in told.items()
            for text in (says, "--sandbox external-sandbox")
            if text not in words
        ]
    return wrong


def examine(row, name, runtime, user):
    """Examines one container as one user, also as it is advised. Returns what was wrong."""
    options = row.get("options", [])
    found = run(name, runtime, user, options)
    wrong = differences(found, row.get(user, row.get("both")), row.get("says", ""))
    advised = row.get("advised")
    more = advice(found.get("hints", []))
    if advised and not more:
        wrong.append(f"doctor names no option: {found.get('hints')}")
    if more and not advised:
        wrong.append(f"doctor names options that are not needed: {more}")
    if advised and more:
        better = run(name, runtime, user, [*options, *more])
        wrong += [f"with {' '.join(more)}: {text}" for text in differences(better, advised, "")]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--containers", default="")
    parser.add_argument("--runtimes", default="")
    arguments = parser.parse_args()
    table = tomllib.loads((HERE / "containers.toml").read_text())
    runtimes, start = table["runtimes"], time.monotonic()
    ordinary = [name for name, runtime in runtimes.items() if "suite" not in runtime]
    chosen = arguments.containers.split() or list(table["containers"])
    provide("packages")
    provide("root", *PACKAGES)
    passed, failed = 0, 0
    for container in chosen:
        row, began = table["containers"][container], time.monotonic()
        for name in row.get("runtimes", ordinary):
            if arguments.runtimes and name not in arguments.runtimes.split():
                continue
            if "suite" in runtimes[name]:
                provide("gvisor", name, runtimes[name]["suite"])
            for user in USERS:
                if user not in row and "both" not in row:
                    continue
                wrong = examine(row, name, runtimes[name], user)
                for text in wrong:
                    say(f"FAILED {container}, {name}, {user}: {text}")
                passed, failed = passed + (not wrong), failed + bool(wrong)
        say(f"{container}: {time.monotonic() - began:.0f} s")
    size = subprocess.run(["du", "-sh", MACHINES], capture_output=True, text=True, check=True).stdout.split()[0]
    say(f"{time.monotonic() - start:.0f} s, {size} on disk below {MACHINES}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
