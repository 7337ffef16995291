/** What a session of an agent needs: a home of its own with rules, a folder to work in, the installed launcher, no way out but loopback. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** The folder that the agents were installed into. */
export const agents = process.env.SHELL_TOOL_MCP_AGENTS;

/** The launcher under test. */
export const launcher = process.env.SHELL_TOOL_MCP_LAUNCHER;

assert.ok(agents && launcher, "«make test-clients» sets SHELL_TOOL_MCP_AGENTS and SHELL_TOOL_MCP_LAUNCHER");

/** The rules of all sessions. */
const RULES = `
prefix_rule(pattern=["shutdown"], decision="forbidden", justification="not on this machine")
prefix_rule(pattern=["touch"], decision="prompt", justification="makes files")
`;

/** A folder with all of it; removed with everything in it. */
export class Home {
  #root = realpathSync(mkdtempSync(join(tmpdir(), "shell-tool-mcp-agent-")));
  work = join(this.#root, "work");
  codexHome = join(this.#root, ".codex");

  constructor() {
    mkdirSync(this.work);
    mkdirSync(join(this.codexHome, "rules"), { recursive: true });
    writeFileSync(join(this.codexHome, "rules/default.rules"), RULES);
  }

  /** Writes a file below the home. */
  write(path, text) {
    const target = join(this.#root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    return target;
  }

  /** The environment of an agent: nothing of whoever runs the tests, and a proxy for all but loopback that is not there. */
  environment(more = {}) {
    const nowhere = "http://127.0.0.1:9";
    return {
      PATH: `${join(agents, "node_modules/.bin")}:${process.env.PATH}`,
      HOME: this.#root,
      CODEX_HOME: this.codexHome,
      TMPDIR: tmpdir(),
      LANG: "C.UTF-8",
      HTTP_PROXY: nowhere,
      HTTPS_PROXY: nowhere,
      NO_PROXY: "127.0.0.1,localhost",
      ...more,
    };
  }

  remove() {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** The server as a client's configuration has it. */
export const server = (home) => ({ command: launcher, args: [], env: { CODEX_HOME: home.codexHome } });
