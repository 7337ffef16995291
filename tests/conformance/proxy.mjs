/**
 * Stands between the official conformance suite and `serve --http`, because the suite calls tools of its own: those that `commands.json` names become
 * calls of `shell`, as in the fixture. Everything else is passed on as it is, in both directions, so that what is checked of HTTP is checked of the
 * server; its address takes the place of this one's in `Host` and `Origin`.
 *
 *   node proxy.mjs SERVER [ARGUMENT…]      prints its address on a line of its own, and ends when standard input does
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request as ask } from "node:http";
import { createInterface } from "node:readline";
import { translate } from "./translation.mjs";

const [program, ...args] = process.argv.slice(2);
const server = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
const [address] = await once(createInterface({ input: server.stdout }), "line");
const behind = new URL(address);

async function pass(request, response) {
  const own = `127.0.0.1:${proxy.address().port}`;
  const chunks = await request.toArray();
  let body = Buffer.concat(chunks);
  const headers = [...request.rawHeaders];
  const change = (name, value) => {
    for (let at = 0; at < headers.length; at += 2) if (headers[at].toLowerCase() === name) headers[at + 1] = value(headers[at + 1]);
  };
  try {
    const message = JSON.parse(body);
    const translated = translate(message);
    if (translated !== message) {
      body = Buffer.from(JSON.stringify(translated));
      // A name that was wrong stays wrong.
      change("mcp-name", (name) => (name === message.params.name ? translated.params.name : name));
      change("content-length", () => String(body.length));
    }
  } catch { /* It is no message. */ }
  change("host", (host) => host.replace(own, behind.host));
  change("origin", (origin) => origin.replace(own, behind.host));
  const passed = ask({ host: behind.hostname, port: behind.port, method: request.method, path: request.url, setHost: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
  });
  for (let at = 0; at < headers.length; at += 2) passed.appendHeader(headers[at], headers[at + 1]);
  passed.on("error", () => response.destroy());
  response.on("close", () => passed.destroy());
  passed.end(body);
}

const proxy = createServer((request, response) => pass(request, response).catch(() => response.destroy()));
proxy.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${proxy.address().port}${behind.pathname}`));
process.stdin.on("end", () => server.kill("SIGKILL") && process.exit()).resume();
