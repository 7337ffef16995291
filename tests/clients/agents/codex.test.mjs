/** Codex, by its app-server. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Codex } from "./codex.mjs";
import { call, Model, say } from "./model.mjs";
import { assertSeen, plan } from "./scenario.mjs";
import { agents, Home } from "./session.mjs";

async function withCodex(work) {
  const home = new Home();
  const model = await new Model().start();
  const codex = await Codex.start(home, model);
  try {
    await work({ home, model, codex });
  } finally {
    await codex.end();
    model.close();
    home.remove();
  }
}

const LIMIT = { timeout: 180_000 };

test("Codex: what the tools return reaches the model", LIMIT, () =>
  withCodex(async ({ home, model, codex }) => {
    plan(model, home.work);
    assert.equal((await codex.turn("go")).status, "completed");
    assertSeen(model);
  }));

test("Codex: a person is asked; an accepted program runs, a declined one does not", LIMIT, () =>
  withCodex(async ({ home, model, codex }) => {
    for (const action of ["accept", "decline"]) {
      codex.ask = ({ params }) => {
        const [field] = Object.keys(params.requestedSchema.properties);
        return action === "accept" ? { action, content: { [field]: "once" }, _meta: null } : { action, content: null, _meta: null };
      };
      model.script(call("shell", { command: `touch ${action}ed && echo made || echo refused`, workdir: home.work }), say("done"));
      await codex.turn("go");
    }
    assert.deepEqual(codex.asked.map(({ method }) => method), ["mcpServer/elicitation/request", "mcpServer/elicitation/request"]);
    assert.match(codex.asked[0].params.message, /makes files/);
    assert.ok(existsSync(join(home.work, "accepted")), JSON.stringify(model.requests.at(-1)).slice(-2_000));
    assert.ok(!existsSync(join(home.work, "declined")));
  }));

test("Codex: what is answered for good stays out of the rules that Codex itself reads", LIMIT, () =>
  withCodex(async ({ home, model, codex }) => {
    codex.ask = ({ params }) => {
      const [field] = Object.keys(params.requestedSchema.properties);
      return { action: "accept", content: { [field]: "always" }, _meta: null };
    };
    model.script(call("shell", { command: "touch made", workdir: home.work }), say("done"));
    await codex.turn("go");
    const answers = join(home.codexHome, "shell-tool/rules/answers.rules");
    assert.match(readFileSync(answers, "utf8"), /overrides_prompt=True/);
    const check = (rules) =>
      spawnSync(join(agents, "node_modules/.bin/codex"), ["execpolicy", "check", "--rules", rules, "touch", "made"], {
        env: home.environment(),
        encoding: "utf8",
      });
    const own = check(join(home.codexHome, "rules/default.rules"));
    assert.equal(JSON.parse(own.stdout).decision, "prompt", own.stderr);
    // Why it is so: Codex refuses a file with a word that it does not know.
    assert.match(check(answers).stderr, /overrides_prompt/);
  }));
