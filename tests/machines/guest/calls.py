#!/usr/bin/python3
"""Asks the server's doctor, then calls its shell tool and compares what each call did with what it must do.

    calls.py WORKSPACE all|walls [PROGRAM ARGUMENT...]

The server is started by PROGRAM ARGUMENT..., when given. The last line of output is a JSON object: `doctor` and `call`, the
level that each of them named ("refused" without one), `words`, what a refusal said, and `failures`, one sentence each.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys

SERVER = "/machine/bin/exec-server"
# Emulation is slow, and so are machines that are shared.
PATIENCE = 180

HOME = os.environ["HOME"]


class Server:
    """The server as an MCP client sees it."""

    def __init__(self, around, workspace, *arguments):
        self.workspace = workspace
        self.log = open(f"/tmp/server-{os.getuid()}.log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [*around, SERVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=workspace
        )
        self.last = 0
        self.request(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "calls", "version": "1"}},
        )
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write((json.dumps(message) + "\n").encode())
        self.process.stdin.flush()

    def request(self, method, params):
        self.last += 1
        self.send({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        signal.alarm(PATIENCE)
        while True:
            line = self.process.stdout.readline()
            if not line:
                self.log.seek(0)
                raise OSError(f"the server ended with {self.process.wait()}: {self.log.read()[-2000:]}")
            message = json.loads(line)
            if message.get("id") == self.last:
                signal.alarm(0)
                return message

    def shell(self, command, timeout_ms=120_000):
        """The result of one call, or the words of the error."""
        arguments = {"command": command, "workdir": self.workspace, "login": False, "timeout_ms": timeout_ms}
        answer = self.request("tools/call", {"name": "shell", "arguments": arguments})
        if "error" in answer:
            return answer["error"]["message"]
        text = answer["result"]["content"][0]["text"]
        try:
            return json.loads(text)
        except ValueError:
            return text

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


class Outside:
    """What commands try to reach: a file, a server, a socket, a process."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.path = f"/run/outside-{os.getuid()}/daemon.sock"
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(self.path)
        self.unix.listen()
        self.victim = subprocess.Popen(["sleep", "1000"], env={**os.environ, "MARK": "TOP" + "SECRET"})


def python(text):
    return f"python3 -c '{text}' 2>&1 | tail -n 1"


def refusals(outside, has):
    """What must be refused in every form: name → command, what it prints when it got through. `has` tells of the layers."""
    connect_unix = f'import socket; s = socket.socket(socket.AF_UNIX); s.connect("{outside.path}"); print("THROUGH")'
    found = {
        "write to the home": f"echo x > {HOME}/escape && echo THROUGH",
        "write to /etc": f"echo x > /etc/escape-{os.getuid()} && echo THROUGH",
        "read a private key": f"cat {HOME}/.ssh/id_test",
        "connect over TCP": f"(exec 3<> /dev/tcp/127.0.0.1/{outside.port}) && echo THROUGH",
        "connect to a socket": python(connect_unix),
        "mount": "mount -t tmpfs tmpfs /mnt && echo THROUGH",
        "make a namespace": "unshare -Ur true && echo THROUGH",
        "read the disk": "head -c 1 /dev/vda > /dev/null && echo THROUGH",
        "read an environment": f"tr '\\0' '\\n' < /proc/{outside.victim.pid}/environ",
    }
    if has("mnt"):
        # Landlock judges no chmod, and cannot take anything out of a folder that may be written.
        found["change a mode"] = f"chmod 755 {HOME}/.ssh && echo THROUGH"
        found["write a hook"] = "echo x > .git/hooks/pre-commit && echo THROUGH"
    if has("pid") or has.landlock >= 6:
        found["signal a process"] = f"kill -0 {outside.victim.pid} && echo THROUGH"
    return found


def works(has):
    """What must work: name → command, which prints WORKS."""
    thread = "import threading; t = threading.Thread(target=print, args=(\"WORKS\",)); t.start(); t.join()"
    commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x"
    found = {
        "write to the workspace": "echo WORKS > file && cat file",
        "Git": f"d=made-$$; git init -q $d && cd $d && {commit} && echo WORKS",
        "threads": python(thread),
        "its own /proc": "grep -q ^Name: /proc/self/status && sh -c 'cat /proc/self/cmdline' > /dev/null && echo WORKS",
        "pipes and jobs": "(echo WORK; sleep 0) | sed 's/$/S/' & wait",
    }
    if has("mnt"):
        found["terminals"] = python("import os; os.openpty(); print(\"WORKS\")")
        found["shared memory"] = "echo WORKS > /dev/shm/x && cat /dev/shm/x"
    if has("net"):
        loopback = (
            'import socket; l = socket.create_server(("127.0.0.1", 0)); '
            'socket.create_connection(l.getsockname()); print("WORKS")'
        )
        found["loopback"] = python(loopback)
    return found


class Layers:
    """Reads a level word."""

    def __init__(self, word):
        named = re.search(r"namespaces\(([^)]*)\)", word)
        if named:
            self.namespaces = set(re.split("[, ]+", named[1]))
        else:
            self.namespaces = {"user", "mnt", "pid", "ipc", "uts", "net"} if "namespaces" in word else set()
        landlock = re.search(r"landlock-(\d+)", word)
        self.landlock = int(landlock[1]) if landlock else 0

    def __call__(self, namespace):
        return namespace in self.namespaces


def doctor(around, workspace):
    """The level that doctor names, and all that it said."""
    done = subprocess.run(
        [*around, SERVER, "doctor", "--json"], cwd=workspace, capture_output=True, timeout=PATIENCE, check=False
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise OSError(f"doctor ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-1500:]}") from None
    level = report["sandbox"] if report["usable"] and done.returncode == 0 else None
    return level or "refused", report


def twins(outside, has):
    """What is refused inside must work outside: else a refusal would prove nothing."""
    with open(f"{HOME}/.ssh/id_test", encoding="ascii") as file:
        assert "SECRET" in file.read()
    socket.create_connection(("127.0.0.1", outside.port)).close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(outside.path)
    os.kill(outside.victim.pid, 0)
    with open(f"/proc/{outside.victim.pid}/environ", encoding="ascii") as file:
        assert "SECRET" in file.read()


def try_all(server, outside, which, has, failures):
    refused, working = refusals(outside, has), works(has)
    if which == "walls":
        # In one call: starting one takes most of the time of each.
        script = "\n".join(f"echo '<{name}>'; ({command}) 2>&1" for name, command in refused.items())
        output = server.shell(script).get("output", "")
        answers = dict(re.findall(r"^<([^>]*)>\n(.*?)(?=^<|\Z)", output, re.S | re.M))
        # One of the refusals is Python's: it counts only if Python runs.
        results, working = {name: answers.get(name) for name in refused}, {"threads": working["threads"]}
    else:
        results = {name: server.shell(command).get("output") for name, command in refused.items()}
    for name, output in results.items():
        if output is None:
            failures.append(f"{name}: never ran")
        elif "THROUGH" in output or "SECRET" in output:
            failures.append(f"{name} was not refused")
    for name, command in working.items():
        result = server.shell(command)
        if "WORKS" not in result["output"]:
            failures.append(f"{name} does not work: {result['output'].strip()[-300:]}")
    if which == "all":
        result = server.shell("sleep 1000 & sleep 1000", timeout_ms=3000)
        if not result["timed_out"]:
            failures.append("a call that reached its timeout was not ended")
    return len(results) + len(working)


def main():
    workspace, which, around = sys.argv[1], sys.argv[2], sys.argv[3:]
    found = {"failures": []}
    failures = found["failures"]
    try:
        found["doctor"], report = doctor(around, workspace)
        if found["doctor"] == "refused":
            found["words"] = [check["found"] for check in report["checks"] if not check["ok"] and not check["optional"]]
        found["hints"] = report.get("to_do", []) + [hint for check in report["checks"] for hint in check.get("hints", [])]
        outside = Outside(workspace)
        server = Server(around, workspace)
        first = server.shell("echo hello; uname -r")
        if isinstance(first, dict):
            found["call"] = first["sandbox"]
            if first["exit_code"] != 0 or first["output"] != f"hello\n{os.uname().release}\n":
                failures.append(f"the first call: {first}")
            has = Layers(first["sandbox"])
            twins(outside, has)
            found["tried"] = try_all(server, outside, which, has, failures)
        else:
            found["call"], found["refusal"] = "refused", first
        server.close()
        outside.victim.kill()
        for path in (f"{HOME}/escape", f"/etc/escape-{os.getuid()}"):
            if os.path.exists(path):
                failures.append(f"{path} was made")
    except Exception as error:
        failures.append(f"{type(error).__name__}: {error}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
