#!/usr/bin/env python3
"""Tries the programs on a Mac: doctor, then calls whose outcome is known, each refusal beside an allowed twin.

    macos.py BIN_DIR

Prints a line for each try; exits 1 when one was not as it must be. The home folder of what is tried is a temporary one.
"""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile

# A hosted Mac can be slow; a call that hangs is news, too.
PATIENCE = 120


class Server:
    """The server as an MCP client sees it."""

    def __init__(self, program, arguments, workspace, environment):
        self.workspace = workspace
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=workspace, env=environment
        )
        self.last = 0
        client = {"name": "macos", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write((json.dumps(message) + "\n").encode())
        self.process.stdin.flush()

    def request(self, method, params):
        self.last += 1
        self.send({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        signal.alarm(PATIENCE)
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == self.last:
                signal.alarm(0)
                return message
        self.log.seek(0)
        raise OSError(f"the server ended with {self.process.wait()}: {self.log.read()[-2000:]}")

    def shell(self, command, meta=None, timeout_ms=30_000):
        arguments = {"command": command, "workdir": self.workspace, "login": False, "timeout_ms": timeout_ms}
        params = {"name": "shell", "arguments": arguments}
        if meta:
            params["_meta"] = meta
        answer = self.request("tools/call", params)
        if "error" in answer:
            return {"output": answer["error"]["message"], "exit_code": None, "sandbox": None}
        text = answer["result"]["content"][0]["text"]
        try:
            return json.loads(text)
        except ValueError:
            return {"output": text, "exit_code": None, "sandbox": None}

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


class Outside:
    """What commands try to reach: a home with a key, a server, a socket, a process, another terminal."""

    def __init__(self, folder):
        self.home = os.path.join(folder, "home")
        self.workspace = os.path.join(self.home, "workspace")
        os.makedirs(os.path.join(self.home, ".ssh"))
        os.makedirs(os.path.join(self.workspace, ".git", "hooks"))
        self.key = os.path.join(self.home, ".ssh", "id_test")
        with open(self.key, "w") as file:
            file.write("TOP" + "SECRET\n")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.socket_path = os.path.join(folder, "daemon.sock")
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(self.socket_path)
        self.unix.listen()
        self.process = subprocess.Popen(["sleep", "1000"])
        self.controller, terminal = pty.openpty()
        self.terminal = os.ttyname(terminal)
        os.write(self.controller, b"TOPSECRET\n")

    def twins(self):
        """What is refused inside works out here: else a refusal would prove nothing."""
        assert "SECRET" in open(self.key).read()
        socket.create_connection(("127.0.0.1", self.port)).close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.socket_path)
        os.kill(self.process.pid, 0)
        os.close(os.open(self.terminal, os.O_RDWR | os.O_NOCTTY))


def python(text):
    return f"python3 -c '{text}' 2>&1 | tail -n 1"


def refused(outside):
    connect_unix = f'import socket; s = socket.socket(socket.AF_UNIX); s.connect("{outside.socket_path}"); print("THROUGH")'
    return {
        "write to the home": f"echo x > {outside.home}/escape && echo THROUGH",
        "read a private key": f"cat {outside.key}",
        "connect over TCP": f"(exec 3<> /dev/tcp/127.0.0.1/{outside.port}) && echo THROUGH",
        "connect to a socket": python(connect_unix),
        "signal a process": f"kill -0 {outside.process.pid} && echo THROUGH",
        "write a hook": "echo x > .git/hooks/pre-commit && echo THROUGH",
        "move what is protected": "mv .git moved && echo THROUGH",
        "change a mode": f"chmod 755 {outside.home}/.ssh && echo THROUGH",
        "write to another terminal": f"echo x > {outside.terminal} && echo THROUGH",
        "read another terminal": f"head -c 4 < {outside.terminal} && echo THROUGH",
        "open an application": "open -a Calculator && echo THROUGH",
        "send an Apple event": "osascript -e 'tell application \"Finder\" to get name of home' && echo THROUGH",
        "read a disk": "head -c 1 /dev/disk0 > /dev/null && echo THROUGH",
    }


def works():
    # Opened once more by its name, as programs do that give it to another one.
    terminal = (
        "import os; master, slave = os.openpty(); again = os.open(os.ttyname(slave), os.O_RDWR | os.O_NOCTTY); "
        'os.write(again, b"WORKS"); print(os.read(master, 5).decode())'
    )
    return {
        "write to the workspace": "echo WORKS > file && cat file",
        "programs": "/bin/ls /usr > /dev/null && /usr/bin/uname | /usr/bin/grep -q . && echo WORKS",
        "devices": "head -c 8 /dev/urandom > /dev/null && cat <(echo WORKS)",
        "its own processes": "sleep 5 & kill %1 && echo WORKS",
        "a terminal of its own": python(terminal),
        "Git": "git init -q made && cd made && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && echo WORKS",
        "threads": python('import threading; t = threading.Thread(target=print, args=("WORKS",)); t.start(); t.join()'),
    }


def try_each(title, server, meta, refusals, working, wrong):
    first = server.shell("echo hello", meta)
    print(f"\n{title}: sandbox {first['sandbox']}")
    if first["output"] != "hello\n":
        print(f"  WRONG nothing runs: {first}")
        wrong.append(title)
        return
    for name, command in refusals.items():
        output = server.shell(command, meta)["output"]
        through = "THROUGH" in output or "SECRET" in output
        show(name, "was not refused" if through else None, output, wrong)
    for name, command in working.items():
        output = server.shell(command, meta)["output"]
        show(name, None if "WORKS" in output else "does not work", output, wrong)


def show(name, fault, output, wrong):
    words = " | ".join(output.strip().splitlines())[:200]
    print(f"  {'WRONG' if fault else 'ok   '} {name}{' ' + fault if fault else ''}: {words}")
    if fault:
        wrong.append(name)


def with_network(outside):
    serve = (
        'import socket; l = socket.create_server(("127.0.0.1", 0)); '
        'socket.create_connection(l.getsockname()); print("WORKS")'
    )
    reach = {
        "a server of its own": python(serve),
        "the host's server": f"(exec 3<> /dev/tcp/127.0.0.1/{outside.port}) && echo WORKS",
    }
    closed = {name: command for name, command in refused(outside).items() if name != "connect over TCP"}
    return closed, reach


def little_readable(outside):
    """A client's state in which only the system and the workspace can be read."""
    entries = [
        {"path": {"type": "path", "path": path}, "access": access}
        for path, access in (("/bin", "read"), ("/usr", "read"), (outside.workspace, "write"))
    ]
    file_system = {"type": "restricted", "entries": entries}
    profile = {"permissionProfile": {"type": "managed", "file_system": file_system, "network": "restricted"}}
    closed = {"read another folder": "cat /private/etc/hosts && echo THROUGH"}
    names = ("write to the workspace", "programs", "devices")
    return {"codex/sandbox-state-meta": profile}, closed, {name: works()[name] for name in names}


def main():
    binaries = os.path.realpath(sys.argv[1])
    program = os.path.join(binaries, "exec-server")
    wrong = []
    # Not below /tmp, where commands may write.
    with tempfile.TemporaryDirectory(dir="target/machines") as folder:
        outside = Outside(os.path.realpath(folder))
        environment = {"HOME": outside.home, "USER": "somebody", "PATH": os.environ["PATH"], "LANG": "en_US.UTF-8"}
        done = subprocess.run([program, "doctor"], cwd=outside.workspace, env=environment, capture_output=True, timeout=PATIENCE)
        print(f"\ndoctor, exit code {done.returncode}:\n{done.stdout.decode()}{done.stderr.decode()}")
        if done.returncode != 0:
            wrong.append("doctor")
        outside.twins()
        for title, arguments, meta, refusals, working in (
            ("workspace-write", [], None, refused(outside), works()),
            ("workspace-write with the network", ["--network"], None, *with_network(outside)),
            ("little readable", [], *little_readable(outside)),
        ):
            server = Server(program, arguments, outside.workspace, environment)
            try_each(title, server, meta, refusals, working, wrong)
            if title == "workspace-write":
                timed_out = server.shell("sleep 1000 & sleep 1000", timeout_ms=2000).get("timed_out")
                show("a timeout ends the call", None if timed_out else "does not", "", wrong)
            server.close()
        outside.process.kill()
        if os.path.exists(os.path.join(outside.home, "escape")):
            wrong.append("a file outside was made")
    print(f"\n{len(wrong)} wrong{': ' if wrong else ''}{', '.join(wrong)}")
    sys.exit(1 if wrong else 0)


main()
