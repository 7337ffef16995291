#!/usr/bin/python3
"""Examines this machine under each setting of a plan, as each user, and writes one line of JSON for each to a serial port.

    examine.py PLAN PORT

The plan is a JSON list of {"setting", "users", "calls"}. Runs as root, in the machine.
"""

import json
import os
import subprocess
import sys

import settings

HERE = os.path.dirname(os.path.abspath(__file__))
USERS = {"root": (0, "/root"), "user": (1000, "/home/user")}


def as_user(name, home, workspace, setting, calls):
    """Runs the calls as that user, below the programs that the setting wants around the server."""
    uid, _ = USERS[name]
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
    command += [sys.executable, f"{HERE}/calls.py", workspace, "all" if calls else "walls", *setting.around]
    environment = {"HOME": home, "USER": name, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "SHELL": "/bin/bash"}
    done = subprocess.run(command, env=environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    try:
        return json.loads(text.splitlines()[-1])
    except (ValueError, IndexError):
        return {"failures": [f"calls.py ended with {done.returncode}: {text[-2000:]}"]}


def prepare(name, home, workspace):
    uid = USERS[name][0]
    outside = f"/run/outside-{uid}"
    for folder in (home, workspace, outside, f"{home}/.ssh", f"{workspace}/.git/hooks"):
        os.makedirs(folder, exist_ok=True)
    with open(f"{home}/.ssh/id_test", "w", encoding="ascii") as file:
        file.write("TOP" + "SECRET\n")
    os.chmod(f"{home}/.ssh", 0o700)
    subprocess.run(["chown", "-R", f"{uid}:{uid}", home, workspace, outside], check=True)


def examine(row, port):
    setting = settings.SETTINGS[row["setting"]]
    for name in row["users"]:
        home = USERS[name][1]
        workspace = setting.workspace or f"{home}/workspace"
        try:
            # Made before the setting, because it may make the root read-only.
            prepare(name, home, workspace)
            with setting.applied():
                found = as_user(name, home, workspace, setting, row["calls"])
        except Exception as error:  # Whatever it is, it is this row's and not the next one's.
            found = {"failures": [f"{type(error).__name__}: {error}"]}
        found.update(setting=row["setting"], user=name)
        port.write(json.dumps(found) + "\n")
        port.flush()
        print(f"{row['setting']:30} {name:5} {found.get('doctor')}", flush=True)


def main():
    with open(sys.argv[1], encoding="utf-8") as plan, open(sys.argv[2], "w", encoding="utf-8") as port:
        for row in json.load(plan):
            examine(row, port)


main()
