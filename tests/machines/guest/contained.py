#!/usr/bin/python3
"""Examines the server in this container, as whoever this is, and prints what was found as one line of JSON.

    contained.py

As calls.py, and then the sessions that enforce nothing (`--sandbox external-sandbox`, `danger-full-access`): calls run in them,
and none of their processes outlives the call or the server. The home folder and /run/outside-UID are there, and empty.
"""

import json
import os
import subprocess
import sys
import time

import calls

WORKSPACE = f"{calls.HOME}/workspace"
UNENFORCED = ("external-sandbox", "danger-full-access")


def prepare():
    for folder in (f"{WORKSPACE}/.git/hooks", f"{calls.HOME}/.ssh"):
        os.makedirs(folder)
    with open(f"{calls.HOME}/.ssh/id_test", "w", encoding="ascii") as file:
        file.write("TOP" + "SECRET\n")
    os.chmod(f"{calls.HOME}/.ssh", 0o700)


def sandboxed():
    """What calls.py says."""
    done = subprocess.run(
        [sys.executable, calls.__file__, WORKSPACE, "all"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    text = done.stdout.decode(errors="replace")
    try:
        return json.loads(text.splitlines()[-1])
    except (ValueError, IndexError):
        return {"failures": [f"calls.py ended with {done.returncode}: {text[-2000:]}"]}


def processes(words):
    """The processes with this command line."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if file.read().split(b"\0")[:-1] == words.encode().split():
                    found.append(int(name))
        except OSError:
            pass  # It has ended meanwhile.
    return found


def soon(is_so):
    """Whether it becomes so; the answer to a call waits for no process."""
    deadline = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_so()


def until_gone(words):
    """Whether these processes end."""
    return soon(lambda: not processes(words))


def orphan(words):
    """A command that starts these, in a session of their own, and goes on when they are there, without their parent."""
    start = f"(setsid sh -c 'echo > orphan; exec {words}' &)"
    return f"rm -f orphan; {start}; until [ -e orphan ]; do sleep 0.05; done"


def unenforced(mode):
    """What is wrong with the sessions of one mode, in sentences."""
    failures = []
    server = calls.Server([], WORKSPACE, "--sandbox", mode)
    first = server.shell("echo hello; echo x > /tmp/unenforced && cat /tmp/unenforced")
    if not isinstance(first, dict):
        return [first]
    if first["exit_code"] != 0 or first["output"] != "hello\nx\n" or first["sandbox"] != "none":
        failures.append(f"the first call: {first}")
    result = server.shell(f"{orphan('sleep 1234')}; {orphan('sleep 1234')}; sleep 1000", timeout_ms=3000)
    if not result["timed_out"] or not until_gone("sleep 1234"):
        failures.append(f"something outlived a call that reached its timeout: {result}")
    result = server.shell(orphan("sleep 2345 > /dev/null 2>&1"))
    if result["exit_code"] != 0 or not soon(lambda: processes("sleep 2345")):
        failures.append(f"what a call left in the background is gone: {result}")
    server.close()
    if not until_gone("sleep 2345"):
        failures.append("something outlived the server")
    return failures


def main():
    prepare()
    found = sandboxed()
    for mode in UNENFORCED:
        try:
            failures = unenforced(mode)
        except Exception as error:  # Whatever it is, the other mode is examined, too.
            failures = [f"{type(error).__name__}: {error}"]
        found["failures"] += [f"--sandbox {mode}: {text}" for text in failures]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
