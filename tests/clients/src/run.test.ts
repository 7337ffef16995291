/** Commands that no rule mentions: output, exit codes, time limits. */
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { launcher, Session } from "./session.js";

test("a program's output and success come back", () =>
  Session.with({}, async (session) => {
    const { exit_code, output, timed_out } = await session.run("ls -d .");
    assert.deepEqual({ exit_code, output, timed_out }, { exit_code: 0, output: ".\n", timed_out: false });
  }));

test("stdout and stderr keep their order", () =>
  Session.with({}, async (session) => {
    const { output } = await session.run("for i in 1 2 3; do echo out$i; ls -d missing$i >&2; echo err$i >&2; done 2>&1 | grep -v missing");
    assert.equal(output, "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
  }));

for (const [command, status] of [["true", 0], ["false", 1], ["exit 42", 42], ["sh -c 'exit 7'", 7], ["no-such-program-here", 127]] as const) {
  test(`«${command}» ends with ${status}`, () =>
    Session.with({}, async (session) => assert.equal((await session.run(command)).exit_code, status)));
}

test("commands run in the Bash of the platform's package", () =>
  Session.with({}, async (session) => {
    const { output } = await session.run('printf "%s\\n" "$BASH"');
    const packages = dirname(dirname(dirname(realpathSync(launcher()))));
    assert.equal(realpathSync(output.trim()), join(packages, `shell-tool-mcp-${process.platform}-${process.arch}`, "bin/bash"));
  }));

test("neither the wrapper nor its socket shows in a program's environment", () =>
  Session.with({}, async (session) => {
    const { output, exit_code } = await session.run("env");
    assert.equal(exit_code, 0);
    assert.doesNotMatch(output, /^(BASH_EXEC_WRAPPER|CODEX_ESCALATE_SOCKET)=/m);
  }));

test("calls run at the same time", () =>
  Session.with({}, async (session) => {
    // Each waits until the other has begun, which one after the other would never come true.
    const { workdir } = session.folders;
    const meet = (own: string, other: string): string => `: > ${own}; until [[ -e ${other} ]]; do sleep 0.05; done; echo met`;
    const outcomes = await Promise.all([session.run(meet("a", "b"), { workdir }), session.run(meet("b", "a"), { workdir })]);
    assert.deepEqual(outcomes.map(({ output, timed_out }) => ({ output, timed_out })), [
      { output: "met\n", timed_out: false },
      { output: "met\n", timed_out: false },
    ]);
  }));

test("a command that takes too long is ended, and what it had printed is kept", () =>
  Session.with({}, async (session) => {
    const { exit_code, output, timed_out } = await session.run("echo before; sleep 60; echo after", { timeout_ms: 1_000 });
    assert.ok(timed_out);
    assert.notEqual(exit_code, 0);
    assert.match(output, /before/);
    assert.doesNotMatch(output, /after/);
  }));

test("a command of a megabyte runs", () =>
  Session.with({}, async (session) => {
    const { exit_code, output } = await session.run(`: ${"x".repeat(1_000_000)}\nls -d .`);
    assert.deepEqual({ exit_code, output }, { exit_code: 0, output: ".\n" });
  }));
