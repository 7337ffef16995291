/** How a session ends, and what on the wire must not end it. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { eventually, Folders, launcher, SERVER_ARGUMENTS, Session } from "./session.js";

/** The launcher without a client library, for lines that no library would send. */
class Wire {
  readonly folders = new Folders("");
  readonly launcher: ChildProcess;
  readonly closed: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    this.launcher = spawn(launcher(), SERVER_ARGUMENTS, { stdio: ["pipe", "pipe", "inherit"], env: this.folders.environment() });
    this.closed = new Promise((resolve) => this.launcher.once("close", (code, signal) => resolve({ code, signal })));
    assert.ok(this.launcher.stdout);
    this.#lines = createInterface({ input: this.launcher.stdout })[Symbol.asyncIterator]();
  }

  send(line: string | object): void {
    this.launcher.stdin?.write(`${typeof line === "string" ? line : JSON.stringify(line)}\n`);
  }

  /** The answer to a request; whatever else comes before it is passed over. */
  async answer(id: number): Promise<{ result?: Record<string, unknown>; error?: { code: number } }> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      assert.ok(!done, `the server ended before it answered request ${id}`);
      const message = JSON.parse(value) as { id?: unknown };
      if (message.id === id) return message as never;
    }
  }

  async initialize(): Promise<void> {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "wire", version: "0" } };
    this.send({ jsonrpc: "2.0", id: 1, method: "initialize", params });
    assert.ok((await this.answer(1)).result);
    this.send({ jsonrpc: "2.0", method: "notifications/initialized" });
  }

  call(id: number, command: string): void {
    const args = { command, workdir: this.folders.workdir, login: false, timeout_ms: 600_000 };
    this.send({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "shell", arguments: args } });
  }
}

async function withWire(work: (wire: Wire) => Promise<void>): Promise<void> {
  const wire = new Wire();
  try {
    await work(wire);
  } finally {
    wire.launcher.stdin?.end();
    wire.launcher.kill();
    await wire.closed;
    wire.folders.remove();
  }
}

const MINUTE = { timeout: 60_000 };

test("lines that are not messages are survived, before and after initialize", MINUTE, () =>
  withWire(async (wire) => {
    wire.send("{ not JSON");
    wire.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    await wire.initialize();
    for (const junk of ["{ not JSON", "", "[]", "42", '{"jsonrpc":"2.0","id":9,"result":{}}', '{"jsonrpc":"2.0","method":"no/such"}']) wire.send(junk);
    wire.send({ jsonrpc: "2.0", id: 2, method: "tools/list" });
    assert.ok((await wire.answer(2)).result);
  }));

test("ill-typed parameters of a known method are called invalid, not an unknown method", MINUTE, () =>
  withWire(async (wire) => {
    await wire.initialize();
    wire.send({ jsonrpc: "2.0", id: 2, method: "tools/call", params: { name: 7 } });
    assert.equal((await wire.answer(2)).error?.code, -32602);
  }));

test("the server and the launcher end by themselves when the client closes", MINUTE, () =>
  withWire(async (wire) => {
    await wire.initialize();
    wire.launcher.stdin?.end();
    assert.deepEqual(await wire.closed, { code: 0, signal: null });
  }));

test("closing ends a running command and everything that it started", MINUTE, () =>
  withWire(async (wire) => {
    await wire.initialize();
    wire.call(2, "sleep 5000 & echo $! > pid; : > begun; wait");
    await eventually(() => existsSync(join(wire.folders.workdir, "begun")));
    const sleeper = Number(readFileSync(join(wire.folders.workdir, "pid"), "utf8"));
    assert.ok(running(sleeper));
    const begun = Date.now();
    wire.launcher.stdin?.end();
    await wire.closed;
    assert.ok(Date.now() - begun < 2_000, "clients wait two seconds before they kill");
    await eventually(() => !running(sleeper));
  }));

test("SIGTERM to the launcher ends the server", MINUTE, () =>
  withWire(async (wire) => {
    await wire.initialize();
    wire.launcher.kill("SIGTERM");
    // The pipes close only when the server has ended as well.
    await wire.closed;
  }));

test("a server whose launcher was killed still ends when the client closes", MINUTE, () =>
  withWire(async (wire) => {
    await wire.initialize();
    wire.launcher.kill("SIGKILL");
    wire.send({ jsonrpc: "2.0", id: 2, method: "tools/list" });
    assert.ok((await wire.answer(2)).result, "it serves on while the client is there");
    wire.launcher.stdin?.end();
    await wire.closed;
  }));

test("the SDK's close ends launcher and server without having to kill them", MINUTE, async () => {
  const begun = await Session.with({}, async (session) => {
    assert.equal((await session.run("true")).exit_code, 0);
    return Date.now();
  });
  // The SDK kills after two seconds.
  assert.ok(Date.now() - begun < 2_000);
});

test("a call's descriptors are closed when it ends", { ...MINUTE, skip: process.platform !== "linux" && "needs /proc" }, () =>
  withWire(async (wire) => {
    await wire.initialize();
    const server = Number(readFileSync(`/proc/${wire.launcher.pid}/task/${wire.launcher.pid}/children`, "utf8").trim());
    const open = (): number => readdirSync(`/proc/${server}/fd`).length;
    const calls = async (first: number): Promise<void> => {
      for (let id = first; id < first + 5; id++) {
        wire.call(id, "ls");
        await wire.answer(id);
      }
    };
    await calls(10);
    const before = open();
    for (let first = 20; first < 70; first += 5) {
      await calls(first);
    }
    // What a busy server keeps for its next call is less than one descriptor for each of these.
    await eventually(() => open() < before + 25);
  }));

/** Whether a process runs; one that ended and was not collected yet does not. */
function running(pid: number): boolean {
  if (process.platform === "linux") {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  }
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
