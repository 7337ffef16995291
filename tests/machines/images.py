#!/usr/bin/env python3
"""Builds the images of packaging/ from dist/bin, and runs each as a pod of the restricted standard would.

    images.py            builds and runs them; needs root on an x86-64 Debian, and no registry
    images.py --ask      asks the server in this network namespace (for the above)

The base of the Debian image is Debian's own archive, made into an image of the name that the Containerfile has. Each container has
no network but its own loopback, nobody's user, no capabilities, no new privileges, a root that is not written, and volumes as a
cluster makes them (`emptyDir` with `fsGroup`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from containers import HERE, MACHINES, REPOSITORY, provide, without_abi

BASE = "docker.io/library/debian:stable-slim"
USER = 65532
TOKEN = "token-of-ann-0123456789abcdef"
ADDRESS = "http://127.0.0.1:8808"
FOLDERS = ("/state", "/workspaces", "/tmp")
SECONDS = 60
RESTRICTED = [
    "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={USER}:{USER}", "--network=none",
    # Podman's own limits are higher than what this may have.
    "--runtime=crun", "--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
    f"--security-opt=seccomp={HERE}/docker-seccomp.json",
]
# What a cluster has to give for the rest: `seccompProfile: Unconfined` and `procMount: Unmasked`.
WHOLE = ["--security-opt=seccomp=unconfined", "--security-opt=unmask=ALL"]
WITH_TOOLS = "id -u && pwd && echo made > file && cat file && git --version"
ALONE = "echo $UID && pwd && echo made > file && read -r line < file && echo $line"
# Image, options of its container, the level of sandbox that is had in it, and a command.
ROWS = (
    ("debian", RESTRICTED, "landlock+seccomp", WITH_TOOLS),
    ("debian", [*RESTRICTED, *WHOLE], "namespaces+landlock+seccomp", WITH_TOOLS),
    ("scratch", RESTRICTED, "landlock+seccomp", ALONE),
)


def say(text):
    print(f"test-image: {text}", file=sys.stderr, flush=True)


def podman(*arguments, **more):
    return subprocess.run([HERE / "containers.sh", "podman", *arguments], stdin=subprocess.DEVNULL, text=True, **more)


def build():
    provide("packages")
    provide("base")
    base = f"tar -C '{MACHINES}/base' -c . | '{HERE}/containers.sh' podman import --quiet - {BASE}"
    subprocess.run(["bash", "-o", "pipefail", "-c", base], check=True, stdout=subprocess.DEVNULL)
    for image, file in (("debian", "Containerfile"), ("scratch", "Containerfile.scratch")):
        start = time.monotonic()
        # The chroot and this machine's network: the packages come from where this machine's come from.
        podman(
            "build", "--quiet", "--isolation=chroot", "--network=host", "--pull=never",
            "--file", f"{REPOSITORY}/packaging/{file}", "--tag", f"shell-tool-mcp:{image}", str(REPOSITORY),
            check=True, stdout=subprocess.DEVNULL,
        )
        size = podman("image", "inspect", "--format={{.Size}}", f"shell-tool-mcp:{image}", check=True, capture_output=True)
        say(f"{image}: built in {time.monotonic() - start:.0f} s, {int(size.stdout) / 1e6:.0f} MB")


def ask_for(path, message=None, token=None):
    """The status and the text of an answer."""
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if message:
        headers |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"], "Mcp-Name": message["params"]["name"]}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps(message).encode() if message else None
    try:
        with urllib.request.urlopen(urllib.request.Request(ADDRESS + path, body, headers), timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def call(command, token):
    """Calls `shell`, as a client without a session."""
    prefix = "io.modelcontextprotocol"
    meta = {
        f"{prefix}/protocolVersion": "2026-07-28",
        f"{prefix}/clientCapabilities": {},
        f"{prefix}/clientInfo": {"name": "images", "version": "1"},
    }
    params = {"name": "shell", "arguments": {"command": command, "login": False}, "_meta": meta}
    status, text = ask_for("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, token)
    if status != 200:
        return {"status": status, "text": text}
    messages = [text] if text.startswith("{") else re.findall(r"^data: ?(.+)$", text, re.MULTILINE)
    return json.loads(messages[-1])["result"].get("structuredContent", {"text": messages[-1]})


def ask(command):
    """What the server in this network namespace says."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            ready = ask_for("/readyz")
            break
        except OSError as error:
            if time.monotonic() > deadline:
                return {"failure": f"nobody answers at {ADDRESS}: {error}"}
            time.sleep(0.1)
    return {
        "ready": ready[0],
        "health": ask_for("/healthz")[0],
        "stranger": call("true", None).get("status"),
        "metrics": ask_for("/metrics")[0],
        "call": call(command, TOKEN),
    }


def differences(found, level, doctor, ended):
    """What is not as it should be, in sentences."""
    if "failure" in found:
        return [found["failure"]]
    wrong = [
        f"{what} is {found[what]}, not {status}"
        for what, status in (("ready", 200), ("health", 200), ("stranger", 401), ("metrics", 401))
        if found[what] != status
    ]
    result = found["call"]
    output = result.get("output", "").splitlines()
    if result.get("exit_code") != 0 or output[:1] != [str(USER)] or "made" not in output or "/workspaces/" not in output[1]:
        wrong.append(f"the call: {result}")
    for who, has in (("the call", result.get("sandbox", "")), ("doctor", doctor["sandbox"])):
        if without_abi(has) != level:
            wrong.append(f"{who} says {has}, expected is {level}")
    if ended:
        wrong.append(f"told to end, it ended with {ended}")
    return wrong


def volumes(folder):
    """Folders as a cluster's `emptyDir` with `fsGroup`, and the tokens as its Secret."""
    for path in FOLDERS:
        made = Path(folder + path)
        made.mkdir()
        os.chown(made, 0, USER)
        made.chmod(0o2777)
        yield f"--volume={made}:{path}"
    tokens = Path(folder, "secret/tokens")
    tokens.parent.mkdir()
    tokens.write_text(f"ann {TOKEN}\n")
    os.chown(tokens, 0, USER)
    tokens.chmod(0o440)
    yield f"--volume={tokens.parent}:/etc/shell-tool-mcp:ro"


def examine(image, options, level, command):
    """Runs one image, and returns what was wrong."""
    name = f"shell-tool-mcp-test-{os.getpid()}"
    # Where nobody's user gets to.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        start = [HERE / "containers.sh", "podman", "run", "--rm", f"--name={name}", *options, *volumes(folder)]
        server = subprocess.Popen(
            [*start, f"shell-tool-mcp:{image}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            first = server.stdout.readline()
            pid = podman("inspect", "--format={{.State.Pid}}", name, capture_output=True).stdout.strip()
            if not pid.isdigit():
                return [f"it did not start: {first}{server.communicate()[0]}"]
            inside = ["nsenter", f"--target={pid}", "--net", sys.executable, __file__, "--ask", command]
            done = subprocess.run(inside, stdout=subprocess.PIPE, text=True, check=True)
            doctor = podman("exec", name, "/opt/shell-tool-mcp/exec-server", "doctor", "--json", capture_output=True)
            found = json.loads(done.stdout)
            examined = json.loads(doctor.stdout)
            os.kill(int(pid), 15)
            output, _ = server.communicate(timeout=SECONDS)
            wrong = differences(found, level, examined, server.returncode)
            if level != "namespaces+landlock+seccomp" and "seccomp=unconfined" not in json.dumps(examined):
                wrong.append(f"doctor does not say what to set: {examined}")
            return [*wrong, output[-1500:]] if wrong else []
        finally:
            if server.poll() is None:
                podman("kill", name, capture_output=True)
                server.wait()


def main():
    if sys.argv[1:2] == ["--ask"]:
        print(json.dumps(ask(sys.argv[2])))
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit("test-image needs root on a Debian: it makes an image of Debian's archive, and starts containers")
    build()
    passed = failed = 0
    for image, options, level, command in ROWS:
        wrong = examine(image, options, level, command)
        for text in wrong:
            say(f"FAILED {image}, {level}: {text}")
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
