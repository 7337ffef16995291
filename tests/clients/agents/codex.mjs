/** Codex's app-server, driven by its JSON-RPC. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { agents, server } from "./session.mjs";

export class Codex {
  /** What Codex has said that was no answer. */
  notifications = [];
  /** How a question of Codex's is answered: gets the request, gives the result. */
  ask = () => ({ action: "cancel", content: null, _meta: null });
  /** The questions. */
  asked = [];
  #waiting = new Map();
  #ended = [];
  #next = 1;

  static async start(home, model) {
    const { command, env } = server(home);
    home.write(
      ".codex/config.toml",
      `model = "scripted"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "workspace-write"

[model_providers.scripted]
name = "scripted"
base_url = "${model.url}/v1"
wire_api = "responses"

[features]
shell_tool = false

[mcp_servers.shell]
command = ${JSON.stringify(command)}
required = true
supports_parallel_tool_calls = true
default_tools_approval_mode = "approve"
env = { CODEX_HOME = ${JSON.stringify(env.CODEX_HOME)} }
`,
    );
    const codex = new Codex();
    codex.process = spawn(join(agents, "node_modules/.bin/codex"), ["app-server"], {
      stdio: ["pipe", "pipe", process.env.AGENT_LOG ? "inherit" : "ignore"],
      cwd: home.work,
      env: home.environment(),
    });
    codex.process.once("exit", () => codex.#fail(new Error("codex app-server has ended")));
    createInterface({ input: codex.process.stdout }).on("line", (line) => codex.#hear(JSON.parse(line)));
    await codex.request("initialize", { clientInfo: { name: "shell-tool-mcp-tests", title: "Tests", version: "0" } });
    codex.#send({ method: "initialized" });
    const { thread } = await codex.request("thread/start", { cwd: home.work });
    codex.thread = thread.id;
    return codex;
  }

  request(method, params) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#send({ id, method, params });
    });
  }

  /** One turn, to its end. */
  async turn(text) {
    const ended = new Promise((resolve, reject) => this.#ended.push({ resolve, reject }));
    await this.request("turn/start", { threadId: this.thread, input: [{ type: "text", text, text_elements: [] }] });
    return ended;
  }

  async end() {
    this.#fail(new Error("the test is over"));
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.stdin.end();
    this.process.kill();
    await ended;
  }

  #send(message) {
    if (process.env.AGENT_LOG) console.error("->", JSON.stringify(message).slice(0, 300));
    this.process.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #hear(message) {
    if (process.env.AGENT_LOG) console.error("<-", JSON.stringify(message).slice(0, 600));
    if (message.method !== undefined && message.id !== undefined) {
      this.asked.push(message);
      this.#send({ id: message.id, result: this.ask(message) });
    } else if (message.method !== undefined) {
      this.notifications.push(message);
      if (message.method === "turn/completed") this.#ended.shift()?.resolve(message.params.turn);
    } else {
      const { resolve, reject } = this.#waiting.get(message.id) ?? {};
      this.#waiting.delete(message.id);
      if (message.error === undefined) resolve?.(message.result);
      else reject?.(new Error(JSON.stringify(message.error)));
    }
  }

  #fail(error) {
    for (const { reject } of [...this.#waiting.values(), ...this.#ended]) reject(error);
    this.#waiting.clear();
    this.#ended = [];
  }
}
