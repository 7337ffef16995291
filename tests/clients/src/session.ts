/**
 * One MCP session through the installed launcher: rules and folders of its own, a client from `@modelcontextprotocol/sdk`, its end.
 *
 * The launcher's path comes from `SHELL_TOOL_MCP_LAUNCHER`, which `make test` sets to the one that it installed from the tarballs.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { getDefaultEnvironment, StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ElicitRequestSchema, type CallToolResult, type ElicitRequestFormParams, type ElicitResult } from "@modelcontextprotocol/sdk/types.js";

/** A length of time as the server writes it. */
export interface Span {
  readonly secs: number;
  readonly nanos: number;
}

/** What the `shell` tool reports, as JSON text and as structured content alike. */
export interface Outcome {
  readonly exit_code: number;
  readonly output: string;
  readonly duration: Span;
  readonly timed_out: boolean;
  /** The part of `duration` in which a human was asked, when one was. */
  readonly approval_wait?: Span;
}

/** A length of time in milliseconds. */
export function milliseconds({ secs, nanos }: Span): number {
  return secs * 1_000 + nanos / 1_000_000;
}

/** The human: gets the question, gives the answer. */
export type Human = (question: ElicitRequestFormParams) => ElicitResult | Promise<ElicitResult>;

export interface Options {
  /** Text of the only rules file. */
  readonly rules?: string;
  /** Without one, the client does not declare that it can ask. */
  readonly human?: Human;
}

/** A folder with what a session needs; removed with everything in it. */
export class Folders {
  readonly #root = realpathSync(mkdtempSync(join(tmpdir(), "shell-tool-mcp-client-")));
  readonly workdir = join(this.#root, "work");
  readonly codexHome = join(this.#root, "codex-home");

  constructor(rules: string) {
    mkdirSync(this.workdir);
    mkdirSync(join(this.codexHome, "rules"), { recursive: true });
    writeFileSync(join(this.codexHome, "rules/default.rules"), rules);
  }

  /** The client's own small environment, and nothing of the home folder of whoever runs the tests. */
  environment(): Record<string, string> {
    return { ...getDefaultEnvironment(), HOME: this.#root, CODEX_HOME: this.codexHome };
  }

  /** Tries again for a while: the client's `close` does not wait for a server that is slow to end, which may still write. */
  remove(): void {
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 20 });
  }
}

/** The launcher under test. */
export function launcher(): string {
  const path = process.env["SHELL_TOOL_MCP_LAUNCHER"];
  assert.ok(path, "SHELL_TOOL_MCP_LAUNCHER must name the installed launcher; «make test» sets it");
  return path;
}

/** There is no sandbox yet, and the server wants to hear that this is meant. */
export const SERVER_ARGUMENTS = ["--sandbox", "danger-full-access"];

/** A connected client. */
export class Session {
  readonly questions: ElicitRequestFormParams[] = [];

  private constructor(
    readonly client: Client,
    readonly transport: StdioClientTransport,
    readonly folders: Folders,
  ) {}

  /** Connects, does the work, and closes and removes everything however the work ends. */
  static async with<T>(options: Options, work: (session: Session) => Promise<T>): Promise<T> {
    const folders = new Folders(options.rules ?? "");
    const transport = new StdioClientTransport({ command: launcher(), args: SERVER_ARGUMENTS, env: folders.environment() });
    const client = new Client(
      { name: "shell-tool-mcp-client-tests", version: "0.0.0" },
      { capabilities: options.human ? { elicitation: { form: {} } } : {} },
    );
    const session = new Session(client, transport, folders);
    if (options.human) session.#answerWith(options.human);
    try {
      await client.connect(transport);
      return await work(session);
    } finally {
      await client.close();
      folders.remove();
    }
  }

  #answerWith(human: Human): void {
    this.client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      assert.ok(params.mode === undefined || params.mode === "form", `asked by ${params.mode}`);
      this.questions.push(params as ElicitRequestFormParams);
      return human(params as ElicitRequestFormParams);
    });
  }

  /** Calls the tool with just these arguments and gives its raw result. */
  async callShell(args: Record<string, unknown>): Promise<CallToolResult> {
    return (await this.client.callTool({ name: "shell", arguments: args })) as CallToolResult;
  }

  /** Runs a command in the session's folder and gives its outcome, after checking that both forms of it agree. */
  async run(command: string, args: Record<string, unknown> = {}): Promise<Outcome> {
    const result = await this.callShell({ command, workdir: this.folders.workdir, login: false, ...args });
    const text = onlyText(result);
    assert.notEqual(result.isError, true, text);
    const outcome = JSON.parse(text) as Outcome;
    assert.equal(JSON.stringify(result.structuredContent), text);
    return outcome;
  }
}

/** Waits for what must come true. */
export async function eventually(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `did not come true in 60 s: ${condition}`);
    await delay(20);
  }
}

/** Waits for a file, which is renamed into place, and says what is in it. */
export async function content(path: string): Promise<string> {
  await eventually(() => existsSync(path));
  return readFileSync(path, "utf8").trim();
}

/** The text of a result that has exactly one text item. */
export function onlyText(result: CallToolResult): string {
  assert.equal(result.content.length, 1, JSON.stringify(result.content));
  const [item] = result.content;
  assert.ok(item?.type === "text", JSON.stringify(item));
  return item.text;
}

/** A human who gives the same answer to everything. */
export function always(action: ElicitResult["action"]): Human {
  return () => (action === "accept" ? { action, content: {} } : { action });
}
