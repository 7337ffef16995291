/**
 * An installation to try the launcher in: the compiled launcher beside a platform package whose server is a script of the test's.
 *
 * The real programs have their own tests; here the server only has to end, wait or report as a test wants it to.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PLATFORM_PACKAGES } from "../src/platform";

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder with `node_modules` as npm would leave it. */
export class Installation {
  readonly #root = mkdtempSync(join(tmpdir(), "shell-tool-mcp-launcher-"));
  readonly #modules = join(this.#root, "node_modules");

  constructor() {
    cpSync(join(__dirname, "../src"), join(this.#modules, "shell-tool-mcp/lib"), { recursive: true });
  }

  /** Puts a platform package there; `server` is the text of its server, by default this machine's package. */
  addPlatform(server: string, name: string = hostPackage()): void {
    mkdirSync(join(this.#modules, name), { recursive: true });
    writeFileSync(join(this.#modules, name, "package.json"), JSON.stringify({ name, version: "0.0.0" }));
    this.addProgram("exec-server", server, name);
    this.addProgram("execve-wrapper", "#!/bin/sh\n", name);
    this.addProgram("bash", "#!/bin/sh\n", name);
  }

  addProgram(program: string, text: string, name: string = hostPackage()): void {
    const path = this.program(program, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  }

  program(program: string, name: string = hostPackage()): string {
    return join(this.#modules, name, "bin", program);
  }

  get launcher(): string {
    return join(this.#modules, "shell-tool-mcp/lib/main.js");
  }

  /** Starts the launcher. Its stdin stays open until the test closes it. */
  start(args: readonly string[] = []): ChildProcess {
    return spawn(process.execPath, [this.launcher, ...args], { stdio: "pipe" });
  }

  /** Starts the launcher and waits for its end. */
  run(args: readonly string[] = [], input = ""): Promise<Ending> {
    const launcher = this.start(args);
    launcher.stdin?.end(input);
    return ending(launcher);
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** The platform package of the machine that runs the tests. */
export function hostPackage(): string {
  const name = PLATFORM_PACKAGES[`${process.platform} ${process.arch}`];
  if (name === undefined) throw new Error(`the launcher's tests cannot run on ${process.platform} ${process.arch}`);
  return name;
}

/** Waits until a process has ended and its output is complete. */
export function ending(child: ChildProcess): Promise<Ending> {
  const output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, ...output }));
  });
}

/** The first line that a process prints, so that a test can wait until it is ready. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end !== -1) resolve(text.slice(0, end));
    });
    child.once("close", () => reject(new Error(`ended before its first line: ${text}`)));
  });
}
