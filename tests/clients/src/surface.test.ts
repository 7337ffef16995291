/** What a client sees before anything runs: the server's name, its tools, and the answers to calls that make no sense. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { onlyText, Session } from "./session.js";

test("the server says who it is", () =>
  Session.with({}, async ({ client }) => {
    const info = client.getServerVersion();
    assert.match(info?.name ?? "", /shell-tool-mcp|exec-server/);
    assert.match(info?.version ?? "", /^\d+\.\d+\.\d+/);
    assert.ok(client.getInstructions());
  }));

test("there is a tool, shell, with the arguments of Codex's server and our own", () =>
  Session.with({}, async ({ client }) => {
    const { tools } = await client.listTools();
    const shell = tools.find(({ name }) => name === "shell");
    const argumentsOf = shell?.inputSchema;
    const codex = ["command", "justification", "login", "sandbox_permissions", "timeout_ms", "workdir"];
    const ours = ["additional_permissions", "keep", "max_output_tokens", "publish", "session_id", "strip_ansi", "yield_time_ms"];
    assert.deepEqual(Object.keys(argumentsOf?.properties ?? {}).sort(), [...codex, ...ours].sort());
    assert.deepEqual([...(argumentsOf?.required ?? [])].sort(), ["command"]);
    const results = Object.keys(shell?.outputSchema?.properties ?? {});
    for (const field of ["exit_code", "output", "duration", "timed_out", "approval_wait"]) assert.ok(results.includes(field), field);
    assert.ok(shell?.title ?? shell?.annotations?.title);
    assert.notEqual(shell?.annotations?.readOnlyHint, true);
  }));

/** The error that a call ends with, whether the client throws it or hands it over as the tool's result. */
async function complaint(session: Session, name: string, args: Record<string, unknown>): Promise<string> {
  let result;
  try {
    result = await session.client.callTool({ name, arguments: args });
  } catch (error) {
    return (error as Error).message;
  }
  assert.equal(result.isError, true, JSON.stringify(result));
  return onlyText(result as Parameters<typeof onlyText>[0]);
}

/** After every refusal the same session still works. */
async function stillServes(session: Session): Promise<void> {
  assert.equal((await session.run("echo still here")).output, "still here\n");
}

test("a tool that does not exist", () =>
  Session.with({}, async (session) => {
    assert.match(await complaint(session, "exec", {}), /exec|tool not found/);
    await stillServes(session);
  }));

const BAD_ARGUMENTS: ReadonlyArray<[what: string, args: Record<string, unknown>, says: RegExp]> = [
  ["no command", { workdir: "/" }, /command/],
  ["a workdir that is a number", { command: "true", workdir: 7 }, /workdir/],
  ["a command that is a number", { command: 7, workdir: "/" }, /string|command/],
  ["a negative time", { command: "true", workdir: "/", timeout_ms: -1 }, /timeout_ms|-1/],
  ["a login that is a word", { command: "true", workdir: "/", login: "yes" }, /boolean|login/],
  ["a NUL in the command", { command: "echo a\0b", workdir: "/" }, /NUL|nul|zero byte/],
  ["a relative workdir that is not there", { command: "true", workdir: "work" }, /work.*(exist|No such file)/],
];

for (const [what, args, says] of BAD_ARGUMENTS) {
  test(`bad arguments: ${what}`, () =>
    Session.with({}, async (session) => {
      assert.match(await complaint(session, "shell", args), says);
      await stillServes(session);
    }));
}

test("bad arguments: a workdir that is missing, or a file", () =>
  Session.with({}, async (session) => {
    const { workdir } = session.folders;
    assert.match(await complaint(session, "shell", { command: "true", workdir: join(workdir, "missing") }), /missing.*(exist|No such file)/s);
    writeFileSync(join(workdir, "file"), "");
    assert.match(await complaint(session, "shell", { command: "true", workdir: join(workdir, "file") }), /(folder|directory)/);
    mkdirSync(join(workdir, "folder"));
    assert.equal((await session.run("pwd", { workdir: join(workdir, "folder") })).output, `${workdir}/folder\n`);
  }));
