/**
 * A model that says what a test wants it to: an HTTP server on loopback which speaks the dialects of three vendors.
 *
 * Each request that offers tools gets the next step of the script, a call or the last words; one without tools (titles, summaries) gets a
 * word. What the agent has sent is kept, because it is what a model would have seen.
 */
import { createServer } from "node:http";

/** A step: call a tool. `name` is the tool's own name; the agent's name for it is found among those on offer. */
export const call = (name, args) => ({ name, args });

/** A step: end the turn. */
export const say = (text) => ({ text });

export class Model {
  /** The bodies of the requests that offered tools, in order. */
  requests = [];
  /** The names of the tools in the last of them, as the agent has made them. */
  tools = [];
  #script = [];
  #server = createServer((request, response) => this.#answer(request, response));
  #calls = 0;

  async start() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** What is said next. */
  script(...steps) {
    this.#script.push(...steps);
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request, response) {
    let text = "";
    for await (const piece of request.setEncoding("utf8")) text += piece;
    const dialect = DIALECTS.find(({ path }) => path.test(request.url));
    if (dialect === undefined || request.method !== "POST") return void response.writeHead(404).end("{}");
    const body = JSON.parse(text);
    const offered = dialect.tools(body);
    let step = say("ok");
    if (offered.length > 0) {
      this.requests.push(body);
      this.tools = offered.map(({ full }) => full);
      step = this.#script.shift() ?? say("nothing more was planned");
      const tool = offered.find(({ own }) => own === step.name);
      if (step.name !== undefined && tool === undefined) step = say(`no tool ${step.name} among ${this.tools}`);
      else if (tool !== undefined) step = { ...step, tool, id: `call_${++this.#calls}` };
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of dialect.events(step)) {
      if (event.type !== undefined && dialect.named) response.write(`event: ${event.type}\n`);
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  }
}

/** Agents put the server's name before a tool's, in their own ways. */
const ownName = (full) => full.replace(/^mcp_+shell_+/, "");

/** OpenAI's Responses. A server's tools may come in a namespace. */
const responses = {
  path: /\/responses$/,
  named: true,
  tools: ({ tools = [] }) =>
    tools.flatMap(({ type, name, tools: inner = [] }) => {
      if (type === "namespace") return inner.map((tool) => ({ own: ownName(tool.name), full: `${name}.${tool.name}`, name: tool.name, namespace: name }));
      return type === "function" ? [{ own: ownName(name), full: name, name }] : [];
    }),
  *events({ text, tool, args, id }) {
    const response = { id: "resp_1", object: "response", output: [], usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } };
    yield { type: "response.created", response: { ...response, status: "in_progress" } };
    const item =
      tool === undefined
        ? { type: "message", id: "msg_1", role: "assistant", content: [{ type: "output_text", text, annotations: [] }] }
        : { type: "function_call", id: `fc_${id}`, call_id: id, name: tool.name, namespace: tool.namespace, arguments: JSON.stringify(args) };
    yield { type: "response.output_item.added", output_index: 0, item };
    yield { type: "response.output_item.done", output_index: 0, item };
    yield { type: "response.completed", response: { ...response, status: "completed", output: [item] } };
  },
};

/** Anthropic's Messages. */
const messages = {
  path: /\/v1\/messages(\?.*)?$/,
  named: true,
  tools: ({ tools = [] }) => tools.map(({ name }) => ({ own: ownName(name), full: name, name })),
  *events({ text, tool, args, id }) {
    const usage = { input_tokens: 1, output_tokens: 1 };
    const message = { id: "msg_1", type: "message", role: "assistant", model: "scripted", content: [], stop_reason: null, stop_sequence: null, usage };
    yield { type: "message_start", message };
    const block = tool === undefined ? { type: "text", text: "" } : { type: "tool_use", id: `toolu_${id}`, name: tool.name, input: {} };
    yield { type: "content_block_start", index: 0, content_block: block };
    const delta = tool === undefined ? { type: "text_delta", text } : { type: "input_json_delta", partial_json: JSON.stringify(args) };
    yield { type: "content_block_delta", index: 0, delta };
    yield { type: "content_block_stop", index: 0 };
    yield { type: "message_delta", delta: { stop_reason: tool === undefined ? "end_turn" : "tool_use", stop_sequence: null }, usage };
    yield { type: "message_stop" };
  },
};

/** Google's Gemini. */
const gemini = {
  path: /:streamGenerateContent/,
  named: false,
  tools: ({ tools = [] }) =>
    tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations.map(({ name }) => ({ own: ownName(name), full: name, name }))),
  *events({ text, tool, args }) {
    const part = tool === undefined ? { text } : { functionCall: { name: tool.name, args } };
    const usageMetadata = { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 };
    yield { candidates: [{ content: { role: "model", parts: [part] }, finishReason: "STOP", index: 0 }], usageMetadata };
  },
};

const DIALECTS = [responses, messages, gemini];
