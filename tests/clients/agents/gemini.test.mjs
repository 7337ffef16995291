/** gemini-cli, headless. It cannot ask anybody. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "./headless.mjs";
import { call, Model, say } from "./model.mjs";
import { assertSeen, plan } from "./scenario.mjs";
import { Home, server } from "./session.mjs";

async function withGemini(work) {
  const home = new Home();
  const model = await new Model().start();
  const settings = {
    mcpServers: { shell: { ...server(home), trust: true } },
    tools: { exclude: ["run_shell_command"] },
    security: { auth: { selectedType: "gemini-api-key" }, folderTrust: { enabled: false } },
    privacy: { usageStatisticsEnabled: false },
    general: { disableAutoUpdate: true, disableUpdateNag: true },
  };
  home.write(".gemini/settings.json", JSON.stringify(settings));
  const environment = { GOOGLE_GEMINI_BASE_URL: model.url, GEMINI_API_KEY: "none", GEMINI_CLI_TRUST_WORKSPACE: "true" };
  const gemini = () => run("gemini", ["-m", "gemini-2.5-flash", "-p", "go", "--approval-mode", "yolo"], home, environment);
  try {
    await work({ home, model, gemini });
  } finally {
    model.close();
    home.remove();
  }
}

const LIMIT = { timeout: 180_000 };

test("gemini-cli: what the tools return reaches the model", LIMIT, () =>
  withGemini(async ({ home, model, gemini }) => {
    plan(model, home.work);
    const { code, stdout } = await gemini();
    assert.equal(code, 0);
    assert.match(stdout, /done/);
    assertSeen(model);
  }));

test("gemini-cli: where nobody can be asked the answer is no, and the model is told why", LIMIT, () =>
  withGemini(async ({ home, model, gemini }) => {
    model.script(call("shell", { command: "touch made", workdir: home.work }), say("done"));
    await gemini();
    assert.match(JSON.stringify(model.requests.at(-1)), /needs a person/);
    assert.ok(!existsSync(join(home.work, "made")));
  }));
