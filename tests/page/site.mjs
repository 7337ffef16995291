/** A server behind HTTP with rules and folders of its own, clients of it that cannot show questions, and a browser to look at its page with. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

const programs = process.env.SHELL_TOOL_MCP_BIN_DIR;
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
assert.ok(programs, "SHELL_TOOL_MCP_BIN_DIR must name the folder of the programs; «make test-page» sets it");

/** Everything that these tests run is asked about. */
const RULES = 'prefix_rule(pattern=["touch"], decision="prompt", justification="makes files")\n';
const VERSION = "2026-07-28";

/** A server, in a folder that is removed with everything in it. */
export class Site {
  #root = realpathSync(mkdtempSync(join(tmpdir(), "shell-tool-mcp-page-")));
  #work = join(this.#root, "work");
  #args = [];
  #process;

  /** Starts one on a port that is free, with these arguments besides. */
  static async start(args = []) {
    const site = new Site();
    mkdirSync(site.#work);
    mkdirSync(join(site.#root, "codex-home/rules"), { recursive: true });
    writeFileSync(join(site.#root, "codex-home/rules/default.rules"), RULES);
    writeFileSync(join(site.#root, "tokens"), "ann token-of-ann-0123456789\nbob token-of-bob-0123456789 shell:approve\n");
    site.#args = args;
    await site.#begin("127.0.0.1:0");
    return site;
  }

  async #begin(listen) {
    const env = { PATH: process.env.PATH, HOME: this.#root, CODEX_HOME: join(this.#root, "codex-home"), LANG: "C.UTF-8" };
    const args = this.#args.map((arg) => arg.replace("%ROOT%", this.#root));
    this.#process = spawn(join(programs, "exec-server"), ["serve", "--http", listen, ...args], { cwd: this.#work, env, stdio: ["ignore", "pipe", "inherit"] });
    [this.address] = await once(createInterface({ input: this.#process.stdout }), "line");
  }

  /** Where the page is. */
  get page() {
    return this.address.replace("/mcp", "/approve");
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
  }

  /** Starts it again, at the same address. */
  async again() {
    await this.#begin(new URL(this.address).host);
  }

  async remove() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill();
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** Runs a command, and returns what came of it. Its client cannot ask anybody. */
  async run(command, token) {
    const meta = {
      "io.modelcontextprotocol/protocolVersion": VERSION,
      "io.modelcontextprotocol/clientCapabilities": {},
      "io.modelcontextprotocol/clientInfo": { name: "browser-tests", version: "1" },
    };
    const params = { name: "shell", arguments: { command, login: false }, _meta: meta };
    const response = await fetch(this.address, {
      method: "POST",
      headers: {
        Accept: "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "shell",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }),
    });
    const text = await response.text();
    const data = text.startsWith("{") ? [text] : [...text.matchAll(/^data: ?(.+)$/gm)].map(([, message]) => message);
    const result = data.map((message) => JSON.parse(message)).find((message) => "result" in message || "error" in message)?.result;
    assert.ok(result?.structuredContent, text);
    return result.structuredContent;
  }
}

/** A browser without a window. As root it has no sandbox of its own: it sees this server's page only. */
export function launch() {
  const args = ["--disable-gpu", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])];
  return puppeteer.launch({ executablePath: chromium, headless: true, args });
}

/** Opens a page that collects what must not be: breaches of its policy, errors, dialogs. */
export async function open(browser, address) {
  const page = await browser.newPage();
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => troubles.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  await page.exposeFunction("breach", (text) => troubles.push(`policy: ${text}`));
  await page.evaluateOnNewDocument(() => {
    window.breaches = 0;
    addEventListener("securitypolicyviolation", async (event) => {
      await window.breach(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      window.breaches += 1;
    });
  });
  await page.goto(address);
  return { page, troubles };
}

/** Waits until a part of the page has this text in it. */
export function says(page, selector, text) {
  const found = (selector, text) => [...document.querySelectorAll(selector)].some((part) => part.innerText.includes(text));
  return page.waitForFunction(found, {}, selector, text);
}

/** What the page is for those who do not see it: role, name, and how what changes in it is told. */
export async function accessibility(page) {
  const session = await page.createCDPSession();
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const seen = nodes.filter((node) => !node.ignored);
  return seen.map(({ role, name, properties = [] }) => {
    const property = (wanted) => properties.find((one) => one.name === wanted)?.value.value;
    return { role: role.value, name: name?.value ?? "", live: property("live"), disabled: property("disabled") ?? false };
  });
}

/** Presses the key for the next element until one with this text, or of this id, has the focus. */
export async function tabTo(page, wanted) {
  for (let presses = 0; presses < 30; presses += 1) {
    const at = await page.evaluate(() => [document.activeElement?.id, document.activeElement?.innerText]);
    if (at.includes(wanted)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`the keyboard does not get to ${wanted}`);
}
