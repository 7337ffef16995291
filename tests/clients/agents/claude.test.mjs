/** Claude Code, headless; a hook of the user's answers for the person who is not there. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "./headless.mjs";
import { call, Model, say } from "./model.mjs";
import { assertSeen, plan } from "./scenario.mjs";
import { Home, server } from "./session.mjs";

async function withClaude(work) {
  const home = new Home();
  const model = await new Model().start();
  const mcp = home.write("mcp.json", JSON.stringify({ mcpServers: { shell: server(home) } }));
  const claude = (settings = {}, search = "false") => {
    const file = home.write("settings.json", JSON.stringify(settings));
    const tools = ["shell", "read_output", "background_list", "background_kill"].map((tool) => `mcp__shell__${tool}`);
    const args = ["-p", "go", "--mcp-config", mcp, "--strict-mcp-config", "--settings", file, "--allowedTools", tools.join(","), "--disallowedTools", "Bash"];
    const environment = { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "none", ENABLE_TOOL_SEARCH: search, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" };
    return run("claude", args, home, environment);
  };
  try {
    await work({ home, model, claude });
  } finally {
    model.close();
    home.remove();
  }
}

const LIMIT = { timeout: 180_000 };

test("Claude Code: what the tools return reaches the model", LIMIT, () =>
  withClaude(async ({ home, model, claude }) => {
    plan(model, home.work);
    const { code, stdout } = await claude();
    assert.deepEqual({ code, stdout }, { code: 0, stdout: "done\n" });
    assertSeen(model);
  }));

test("Claude Code: the shell is shown at once where other tools have to be searched for", LIMIT, () =>
  withClaude(async ({ model, claude }) => {
    model.script(say("done"));
    await claude({}, "true");
    assert.ok(model.tools.includes("mcp__shell__shell"), `${model.tools}`);
    assert.ok(!model.tools.includes("mcp__shell__background_kill"), `${model.tools}`);
  }));

test("Claude Code: a hook answers; an accepted program runs, a declined one does not", LIMIT, () =>
  withClaude(async ({ home, model, claude }) => {
    for (const action of ["accept", "decline"]) {
      const content = action === "accept" ? { decision: "once" } : {};
      const answer = JSON.stringify({ hookSpecificOutput: { hookEventName: "Elicitation", action, content } });
      const hook = home.write("hook.sh", `cat >> ${join(home.work, "asked")}; echo '${answer}'\n`);
      model.script(call("shell", { command: `touch ${action}ed && echo made || echo refused`, workdir: home.work }), say("done"));
      await claude({ hooks: { Elicitation: [{ hooks: [{ type: "command", command: `sh ${hook}` }] }] } });
    }
    assert.ok(existsSync(join(home.work, "asked")), "nobody was asked");
    assert.ok(existsSync(join(home.work, "accepted")), JSON.stringify(model.requests.at(-1)).slice(-2_000));
    assert.ok(!existsSync(join(home.work, "declined")));
  }));
