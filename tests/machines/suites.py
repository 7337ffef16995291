"""Runs the escape suite and the sandbox's own suite in a machine of another kernel.

The tests are those that `make test` builds, and find in the machine what they name at the same paths as here. The machine's C library must
not be older than the one that they were built with.
"""

import json
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DEBUG = REPOSITORY / "target/debug"
SUITES = ("escapes", "suite")
PROGRAMS = ("escape-try", "sandbox-test-session", "sandbox-test-server", "sandbox-test-try", "sandbox-test-benchmark")
# What the suites try in a sandbox, and skip or fail without.
PACKAGES = ("python3", "git", "iproute2", "procps", "gcc", "libc6-dev", "make", "npm", "perl", "openssh-client", "curl", "strace", "kmod")

RUN = """\
#!/bin/bash
mkdir -p {repository} /run/upper /run/work
mount -t overlay -o lowerdir=/machine/repository,upperdir=/run/upper,workdir=/run/work overlay {repository}
cd {repository}
export TESTS_MUST_SANDBOX=1 TESTS_MUST_BOUND=1 SHELL_TOOL_MCP_BIN_DIR={repository}/dist/bin RUST_BACKTRACE=0 HOME=/root USER=root LANG=C.UTF-8
for suite in {suites}; do
  (cd $(dirname $suite) && $suite --color never --test-threads 2 $(cat /machine/filter))
  status=$?
  echo "$(basename $suite) $status" >> /dev/ttyS1
done
"""


def build():
    """Builds the suites, and returns their programs."""
    # Of the whole workspace, as `make test` builds them: a choice of packages has other features, and would build all libraries anew.
    command = ["cargo", "test", "--workspace", "--no-run", "--locked", "--message-format", "json"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    programs = {
        message["target"]["name"]: Path(message["executable"])
        for message in messages
        if message.get("executable") and message["profile"]["test"] and message["target"]["kind"] == ["test"]
    }
    return {suite: programs[suite] for suite in SUITES}


def disk(folder, programs, test_filter):
    """What the machine gets: the suites, their programs and ours, below repository/ as they lie here."""
    shutil.rmtree(folder, ignore_errors=True)
    files = [*programs.values(), *(DEBUG / name for name in PROGRAMS), *(REPOSITORY / "dist/bin").iterdir()]
    for file in files:
        copy = folder / "repository" / file.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    # The folders of the packages, which tests start from.
    for package in ("tests", "crates/sandbox"):
        (folder / "repository" / package).mkdir(parents=True, exist_ok=True)
    shutil.copytree(REPOSITORY / "tests/machines/guest", folder / "guest")
    (folder / "filter").write_text(test_filter)
    run = folder / "run"
    run.write_text(RUN.format(repository=REPOSITORY, suites=" ".join(str(path) for path in programs.values())))
    run.chmod(0o755)
    return folder


def verdicts(console, results, programs):
    """The tests that failed, in sentences."""
    failed = [line.split()[1] for line in console.splitlines() if line.startswith("test ") and line.rstrip().endswith("FAILED")]
    ended = dict(line.split() for line in results)
    wrong = [f"{test} failed" for test in failed]
    wrong += [f"the {suite} suite did not end" for suite, path in programs.items() if path.name not in ended]
    return wrong + [f"{suite} ended with {code}" for suite, code in ended.items() if code != "0" and not failed]
