/** The TypeScript SDK's second generation, in each way in which it can begin: `initialize`, whatever the server has, or 2026-07-28 alone. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ClientOptions } from "@modelcontextprotocol/client";
import { content, eventually, Folders, launcher, SERVER_ARGUMENTS, type Outcome } from "./session.js";

const RULES = `prefix_rule(pattern = ["touch"], decision = "prompt", justification = "It makes a file.")\n`;

type Action = "accept" | "decline" | "cancel";

/** What a test works with. */
interface Connected {
  readonly folders: Folders;
  readonly questions: string[];
  version(): string | undefined;
  tools(): Promise<string[]>;
  run(command: string, args?: Record<string, unknown>, signal?: AbortSignal): Promise<Outcome>;
  close(): Promise<void>;
}

async function connected(negotiation: ClientOptions["versionNegotiation"], action: Action, work: (client: Connected) => Promise<void>): Promise<void> {
  const { Client } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
  const folders = new Folders(RULES);
  const options: ClientOptions = { capabilities: { elicitation: { form: {} } } };
  if (negotiation) options.versionNegotiation = negotiation;
  const client = new Client({ name: "shell-tool-mcp-client-tests", version: "0.0.0" }, options);
  const questions: string[] = [];
  client.setRequestHandler("elicitation/create", ({ params }) => {
    questions.push(params.message);
    return action === "accept" ? { action, content: { decision: "once" } } : { action };
  });
  try {
    await client.connect(new StdioClientTransport({ command: launcher(), args: SERVER_ARGUMENTS, env: folders.environment() }));
    await work({
      folders,
      questions,
      version: () => client.getNegotiatedProtocolVersion(),
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      run: async (command, args = {}, signal) => {
        const call = { name: "shell", arguments: { command, workdir: folders.workdir, login: false, ...args } };
        const result = await client.callTool(call, signal ? { signal } : {});
        assert.notEqual(result.isError, true, JSON.stringify(result));
        return result.structuredContent as unknown as Outcome;
      },
      close: () => client.close(),
    });
  } finally {
    await client.close();
    folders.remove();
  }
}

function lives(pid: string): boolean {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}

const RUNNING = "echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done";

const MODERN = "2026-07-28";
const LIMIT = { timeout: 120_000, ...(Number(process.versions.node.split(".")[0]) < 20 ? { skip: "this client needs Node.js 20" } : {}) };

for (const [name, negotiation, modern] of [
  ["by default", undefined, false],
  ["auto", { mode: "auto" }, true],
  ["pinned to 2026-07-28", { mode: { pin: MODERN } }, true],
] as const) {
  test(`v2, ${name}: lists and calls`, LIMIT, () =>
    connected(negotiation, "decline", async (client) => {
      assert.equal(client.version() === MODERN, modern, client.version());
      assert.ok((await client.tools()).includes("shell"));
      assert.equal((await client.run("echo here")).output, "here\n");
      assert.ok((await client.run("sleep 60", { timeout_ms: 300 })).timed_out);
      assert.deepEqual(client.questions, []);
    }));

  test(`v2, ${name}: what is accepted runs, once`, LIMIT, () =>
    connected(negotiation, "accept", async (client) => {
      const { output } = await client.run("echo started >> log; touch made; cat log");
      assert.equal(output, "started\n");
      assert.ok(existsSync(join(client.folders.workdir, "made")));
      assert.equal(client.questions.length, 1);
      assert.match(client.questions[0] ?? "", /touch made/);
    }));

  for (const action of ["decline", "cancel"] as const) {
    test(`v2, ${name}: what is answered with ${action} does not run`, LIMIT, () =>
      connected(negotiation, action, async (client) => {
        const { output } = await client.run("touch made; echo on");
        assert.match(output, /Execution denied: [^]*on\n$/);
        assert.ok(!existsSync(join(client.folders.workdir, "made")));
        assert.equal(client.questions.length, 1);
      }));
  }

  test(`v2, ${name}: an aborted call ends its command`, LIMIT, () =>
    connected(negotiation, "accept", async (client) => {
      const abort = new AbortController();
      const call = client.run(RUNNING, { timeout_ms: 600_000 }, abort.signal);
      const pid = await content(join(client.folders.workdir, "pid"));
      abort.abort();
      await assert.rejects(call);
      await eventually(() => !lives(pid));
      assert.equal((await client.run("echo on")).output, "on\n");
    }));

  test(`v2, ${name}: closing ends a running command`, LIMIT, () =>
    connected(negotiation, "accept", async (client) => {
      const call = client.run(RUNNING, { timeout_ms: 600_000 }).catch(() => undefined);
      const pid = await content(join(client.folders.workdir, "pid"));
      await client.close();
      await call;
      await eventually(() => !lives(pid));
    }));
}
