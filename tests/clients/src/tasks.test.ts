/** The official package for tasks: commands become tasks, end, and are cancelled. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { content, eventually, Folders, launcher, SERVER_ARGUMENTS } from "./session.js";

type Message = Record<string, unknown>;

/** Standard input and output; what the client's own codecs do not know goes past them. */
class Lines implements Transport {
  onmessage?: (message: JSONRPCMessage) => void;
  onclose?: () => void;
  readonly #past = new Map<unknown, (message: Message) => void>();
  readonly #folders: Folders;
  #count = 0;
  #server: ChildProcess | undefined;

  constructor(folders: Folders) {
    this.#folders = folders;
  }

  start(): Promise<void> {
    const server = spawn(launcher(), SERVER_ARGUMENTS, { stdio: ["pipe", "pipe", "inherit"], env: this.#folders.environment() });
    this.#server = server;
    createInterface({ input: server.stdout }).on("line", (line) => {
      const message = JSON.parse(line) as Message;
      const waiting = this.#past.get(message["id"]);
      this.#past.delete(message["id"]);
      if (waiting) waiting(message);
      else this.onmessage?.(message as unknown as JSONRPCMessage);
    });
    server.on("close", () => {
      this.#server = undefined;
      this.onclose?.();
    });
    return Promise.resolve();
  }

  send(message: unknown): Promise<void> {
    this.#server?.stdin?.write(`${JSON.stringify(message)}\n`);
    return Promise.resolve();
  }

  request(message: Message): Promise<Message> {
    const id = message["id"] ?? `past-${++this.#count}`;
    return new Promise((resolve) => {
      this.#past.set(id, resolve);
      void this.send({ ...message, jsonrpc: "2.0", id });
    });
  }

  /** Ends the input, and waits for the server, which writes into the folders until it is gone. */
  async close(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    const gone = once(server, "close");
    server.stdin?.end();
    await gone;
  }
}

const LIMIT = { timeout: 120_000, ...(Number(process.versions.node.split(".")[0]) < 20 ? { skip: "this client needs Node.js 20" } : {}) };

test("commands become tasks of the official package, which end or are cancelled", LIMIT, async () => {
  const { Client } = await import("@modelcontextprotocol/client");
  const { createTaskSessionFromClient, resultFromTaskOutcome } = await import("@modelcontextprotocol/ext-tasks/client");
  const folders = new Folders("");
  const lines = new Lines(folders);
  const clientInfo = { name: "shell-tool-mcp-client-tests", version: "0.0.0" };
  const clientCapabilities = { extensions: { "io.modelcontextprotocol/tasks": {} } };
  const client = new Client(clientInfo, { capabilities: clientCapabilities, versionNegotiation: { mode: "auto" } });
  try {
    await client.connect(lines);
    const session = createTaskSessionFromClient(client, {
      endpointId: "shell",
      rawDispatch: (request) => lines.request(request as Message) as never,
      v2RequestFraming: { protocolVersion: "2026-07-28", clientInfo, clientCapabilities },
    });
    const common = { workdir: folders.workdir, login: false };
    for (const [tool, args, kind] of [
      ["shell", { command: "echo quick", ...common }, "immediate"],
      ["shell", { command: "sleep 2; echo from shell", ...common }, "task"],
      ["exec_command", { cmd: "sleep 2; echo from exec", ...common }, "task"],
    ] as const) {
      const execution = await session.callTool(tool, args);
      assert.equal(execution.kind, kind);
      const result = resultFromTaskOutcome((await execution.settle()).outcome) as { structuredContent?: { exit_code?: number; output?: string } };
      assert.equal(result.structuredContent?.exit_code, 0);
      assert.match(result.structuredContent?.output ?? "", /^(quick|from (shell|exec))\n$/);
    }
    const execution = await session.callTool("exec_command", { cmd: "echo $$ > pid.new; mv pid.new pid; exec sleep 1000", ...common });
    const pid = await content(`${folders.workdir}/pid`);
    assert.equal(execution.kind, "task");
    await (execution as { cancel(): Promise<unknown> }).cancel();
    assert.equal((await execution.settle()).outcome.status, "cancelled");
    await eventually(() => {
      try {
        return !process.kill(Number(pid), 0);
      } catch {
        return true;
      }
    });
    await session.close();
  } finally {
    await client.close();
    folders.remove();
  }
});
