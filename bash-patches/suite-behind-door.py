#!/usr/bin/env python3
"""Runs Bash's own test suite in the sandbox: where nothing sees what it executes, and behind the kernel's door.

  suite-behind-door.py FOLDER [TEST...]

FOLDER has the server, its Bash and its wrapper. run-upstream-suite.sh has run before: its helper programs are used. A TEST is
a name like `alias`; without any, all run. Leaves target/bash/suite/{unseen,judged}/TEST, and ends with status 1 if the two
runs differ.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

WORK = pathlib.Path(__file__).resolve().parent.parent / "target/bash"
SUITE = WORK / "suite"
PATIENCE = 300
DOORS = {"unseen": "wrapper", "judged": "kernel"}


class Server:
    def __init__(self, program, door, folder):
        home = folder.parent / "codex-home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "CODEX_HOME": str(home)}
        arguments = [program, "--door", door]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=folder,
                                        env=environment, text=True)
        self.number = 0
        client = {"name": "suite", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})

    def ask(self, method, params):
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.number:
                return answer["result"]
        sys.exit("the server has ended")

    def run(self, command, folder):
        arguments = {"command": command, "workdir": str(folder), "login": False, "timeout_ms": (PATIENCE + 30) * 1000}
        return self.ask("tools/call", {"name": "shell", "arguments": arguments})["structuredContent"]


def run_suite(program, mode, names):
    scratch = SUITE / "behind"
    shutil.rmtree(SUITE / mode, ignore_errors=True)
    (SUITE / mode).mkdir(parents=True)
    for name in names:
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "tmp").mkdir(parents=True)
        shutil.copytree(WORK / "src/tests", scratch / "tests", symlinks=True)
        for helper in (SUITE / "support").iterdir():
            shutil.copy2(helper, scratch / "tests")
        server = Server(program, DOORS[mode], scratch)
        settings = f"THIS_SH={WORK}/bash BUILD_DIR={WORK}/src TMPDIR={scratch}/tmp BASH_TSTOUT={scratch}/tmp/output " \
                   "LANG=C.UTF-8 LC_TIME=C"
        command = f"cd tests; PATH=.:$PATH; /usr/bin/env -u LC_ALL {settings} timeout --kill-after=5 {PATIENCE} " \
                  f"sh ./run-{name} 2>&1 < /dev/null || echo run-{name}: status $?"
        said = server.run(command, scratch)
        server.process.kill()
        server.process.wait()
        if not said["sandbox"].endswith("+door") and mode == "judged":
            sys.exit(f"{name} did not run behind the kernel's door: {said}")
        lines = [line for line in said["output"].splitlines() if not line.startswith("warning: ")]
        (SUITE / mode / name).write_text("".join(line + "\n" for line in lines))
    shutil.rmtree(scratch, ignore_errors=True)


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve() / "exec-server")
    files = (path.name.removeprefix("run-") for path in (WORK / "src/tests").glob("run-*"))
    names = sys.argv[2:] or sorted(name for name in files if name not in ("all", "minimal", "gprof")
                                   and not name.endswith(".orig"))
    for mode in DOORS:
        run_suite(program, mode, names)
        failing = [name for name in names if (SUITE / mode / name).stat().st_size]
        print(f"{mode}: {len(names)} tests, differing from what upstream expects: {' '.join(failing) or 'none'}", flush=True)
    read = lambda mode, name: (SUITE / mode / name).read_text()
    different = [name for name in names if read("unseen", name) != read("judged", name)]
    print(f"different between the two runs: {' '.join(different) or 'none'}")
    sys.exit(bool(different))


main()
