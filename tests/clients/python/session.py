"""One MCP session through the installed launcher: rules and folders of its own, and what each client library's tests have in common.

The launcher's path comes from SHELL_TOOL_MCP_LAUNCHER, which `make test` sets to the one that it installed from the tarballs.
"""

import asyncio
import os
import pathlib
import tempfile
import time
from collections.abc import Callable

RULES = 'prefix_rule(pattern = ["touch"], decision = "prompt", justification = "It makes a file.")\n'
SERVER_ARGUMENTS = ["--sandbox", "danger-full-access"]
RUNNING = "echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done"
LIMIT_SECONDS = 60


def launcher() -> str:
    """The launcher under test."""
    path = os.environ.get("SHELL_TOOL_MCP_LAUNCHER")
    assert path, "SHELL_TOOL_MCP_LAUNCHER must name the installed launcher; «make test» sets it"
    return path


class Folders:
    """A folder with what a session needs; removed with everything in it, unless a server that is slow to end still writes."""

    def __init__(self) -> None:
        self._root = tempfile.TemporaryDirectory(prefix="shell-tool-mcp-client-", ignore_cleanup_errors=True)
        root = pathlib.Path(self._root.name).resolve()
        self.workdir = root / "work"
        self.workdir.mkdir()
        rules = root / "codex-home" / "rules"
        rules.mkdir(parents=True)
        (rules / "default.rules").write_text(RULES)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(root), "CODEX_HOME": str(root / "codex-home")}

    def __enter__(self) -> "Folders":
        return self

    def __exit__(self, *_: object) -> None:
        self._root.cleanup()

    def call(self, command: str, **more: object) -> dict[str, object]:
        """The arguments of a call."""
        return {"command": command, "workdir": str(self.workdir), "login": False, **more}


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for what must come true."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {condition}"
        await asyncio.sleep(0.02)


async def content(path: pathlib.Path) -> str:
    """Waits until the file is there and says what is in it."""
    await eventually(path.exists)
    return path.read_text().strip()


async def gone(pid: str) -> None:
    """Waits for the end of a process."""

    def is_gone() -> bool:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        return False

    await eventually(is_gone)
