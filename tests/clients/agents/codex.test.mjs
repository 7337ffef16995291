/** Codex, by its app-server. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Codex } from "./codex.mjs";
import { call, Model, say } from "./model.mjs";
import { assertSeen, plan } from "./scenario.mjs";
import { Home } from "./session.mjs";

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
