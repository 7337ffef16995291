/**
 * Lets the official conformance suite, which speaks HTTP only, talk to the server as it is shipped: over standard input and output.
 *
 * It listens on loopback and starts a server for each `initialize`, and one for all requests of MCP 2026-07-28, which know no sessions. Messages go
 * through as they are, but for the ids of the latter's requests, which may be those of another client, and for calls of the suite's own tools: those
 * that `commands.json` names become calls of `shell`, as in the fixture. What the suite checks of HTTP itself (headers, origins) is thus checked of
 * this file, and left out.
 *
 *   node bridge.mjs SERVER [ARGUMENT…]      prints its address on a line of its own, and ends when standard input does
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { translate } from "./translation.mjs";

const [program, ...args] = process.argv.slice(2);
const VERSION = "io.modelcontextprotocol/protocolVersion";

/** One server process, and who waits for its answers. */
class Session {
  id = randomUUID();
  #next = 0;
  /** From the id that the server knows to the request that it came with. */
  #waiting = new Map();

  constructor() {
    this.process = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#receive(JSON.parse(line)));
    this.process.stdin.on("error", () => {});
  }

  /** Sends a request, and passes everything that the server says until its answer on to `emit`. */
  request(message, rename, emit) {
    const id = rename ? `bridge-${this.#next++}` : message.id;
    return new Promise((resolve) => {
      this.#waiting.set(id, { emit, original: message.id, resolve });
      this.send({ ...message, id });
    });
  }

  send(message) {
    this.process.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #receive(message) {
    const waiting = "method" in message ? undefined : this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      waiting.emit({ ...message, id: waiting.original });
      waiting.resolve();
      return;
    }
    // A request or notification: it belongs to what is under way.
    for (const { emit } of this.#waiting.values()) return emit(message);
  }

  close() {
    this.process.stdin.end();
  }
}

/** Behind it is a shell: other users of this machine must not find it. */
const path = `/${randomUUID()}`;
const sessions = new Map();
const modern = new Session();

async function answer(request, response) {
  if (request.url !== path) return response.writeHead(404).end();
  const known = sessions.get(request.headers["mcp-session-id"]);
  if (request.method === "DELETE") {
    known?.close();
    sessions.delete(known?.id);
    return response.writeHead(200).end();
  }
  if (request.method !== "POST") return response.writeHead(405).end();
  let body = "";
  for await (const part of request) body += part;
  const message = translate(JSON.parse(body));
  let session = known;
  if (message.method === "initialize" && !message.params?._meta?.[VERSION]) {
    session = new Session();
    sessions.set(session.id, session);
  }
  session ??= modern;
  if (message.id === undefined || !("method" in message)) {
    session.send(message);
    return response.writeHead(202).end();
  }
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
  response.writeHead(200, session === modern ? headers : { ...headers, "mcp-session-id": session.id });
  await session.request(message, session === modern, (event) => response.write(`event: message\ndata: ${JSON.stringify(event)}\n\n`));
  response.end();
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => response.writeHead(400).end(String(error)));
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}${path}`));
process.stdin.on("end", () => process.exit()).resume();
