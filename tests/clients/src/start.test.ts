/** Starting through the launcher: what ends at once, and what a person reads when the server cannot start. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { Folders, launcher, onlyText, SERVER_ARGUMENTS, Session } from "./session.js";

interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the launcher with a closed stdin and waits for its end. */
function start(args: readonly string[], folders: Folders): Promise<Ending> {
  const child = spawn(launcher(), args, { stdio: ["ignore", "pipe", "pipe"], env: folders.environment() });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...output }));
  });
}

async function withFolders(rules: string, work: (folders: Folders) => Promise<void>): Promise<void> {
  const folders = new Folders(rules);
  try {
    await work(folders);
  } finally {
    folders.remove();
  }
}

test("the server has the version of the package", () =>
  withFolders("", async (folders) => {
    const manifest = JSON.parse(readFileSync(join(dirname(dirname(realpathSync(launcher()))), "package.json"), "utf8")) as { version: string };
    const { code, stdout } = await start(["--version"], folders);
    assert.deepEqual({ code, stdout }, { code: 0, stdout: `shell-tool-mcp ${manifest.version}\n` });
  }));

test("nothing but the protocol is written to stdout", () =>
  withFolders("", async (folders) => {
    const { code, stdout } = await start(SERVER_ARGUMENTS, folders);
    assert.deepEqual({ code, stdout }, { code: 0, stdout: "" });
  }));

test("of rules with a syntax error the server says where it is, and it starts", () =>
  withFolders('prefix_rule(pattern = ["ls"], decision = "allow")\nprefix_rule(pattern = ["rm"] decision = "allow")\n', async (folders) => {
    const { code, stdout, stderr } = await start(SERVER_ARGUMENTS, folders);
    assert.equal(code, 0);
    assert.equal(stdout, "");
    assert.match(stderr, /no command runs until they are mended[^]*default\.rules:2:30\b/);
  }));

test("a rule whose own example contradicts it is named", () =>
  withFolders('prefix_rule(pattern = ["ls"], decision = "allow", match = ["cat x"])\n', async (folders) => {
    const { code, stderr } = await start(SERVER_ARGUMENTS, folders);
    assert.equal(code, 0);
    assert.match(stderr, /default\.rules/);
    assert.match(stderr, /cat x/);
  }));

for (const [flag, what] of [["--bash", "Bash"], ["--execve", "wrapper"]] as const) {
  test(`a ${what} of the user's that is missing is named; ours is not taken instead`, () =>
    withFolders("", async (folders) => {
      const { code, stderr } = await start([flag, "/nonexistent/program", ...SERVER_ARGUMENTS], folders);
      assert.equal(code, 1);
      assert.match(stderr, /\/nonexistent\/program/);
    }));
}

test("an unknown argument is refused by the server", () =>
  withFolders("", async (folders) => {
    const { code, stderr } = await start(["--no-such-flag"], folders);
    assert.equal(code, 2);
    assert.match(stderr, /--no-such-flag/);
  }));

test("a rules folder that is a file stops the server", () =>
  withFolders("", async (folders) => {
    const home = join(folders.workdir, "home");
    writeFileSync(home, "");
    const elsewhere = { ...folders.environment(), CODEX_HOME: home };
    const child = spawn(launcher(), SERVER_ARGUMENTS, { stdio: ["ignore", "ignore", "pipe"], env: elsewhere });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise((resolve) => child.once("close", resolve));
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(home), stderr);
  }));

test("broken rules are told in each call, and mended while the server runs", () =>
  Session.with({ rules: 'prefix_rule(pattern = ["ls"], decision = "alow")\n' }, async ({ client, folders }) => {
    const call = { name: "shell", arguments: { command: "echo ran", workdir: folders.workdir, login: false } };
    const refused = await client.callTool(call);
    assert.equal(refused.isError, true);
    assert.match(onlyText(refused as CallToolResult), /did you mean "allow"[^]*default\.rules:1:1/);
    writeFileSync(join(folders.codexHome, "rules/default.rules"), "");
    const result = await client.callTool(call);
    assert.notEqual(result.isError, true);
  }));
