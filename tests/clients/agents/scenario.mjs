/** What every agent must manage: list, call, long output, refusal, background. */
import assert from "node:assert/strict";
import { call, say } from "./model.mjs";

const COMMANDS = {
  call: "echo from the shell",
  long: "seq 1 40000",
  refused: "shutdown now",
  background: "sleep 300 & echo started",
};

/** Writes the script. The commands run in this folder. */
export function plan(model, workdir) {
  const shell = (command) => call("shell", { command, workdir });
  model.script(shell(COMMANDS.call), shell(COMMANDS.long), shell(COMMANDS.refused), shell(COMMANDS.background));
  model.script(call("background_list", {}), say("done"));
}

/** Whether all of it reached the model, as the last request shows. */
export function assertSeen(model) {
  for (const tool of ["shell", "read_output", "background_list", "background_kill"]) {
    assert.ok(model.tools.some((name) => name.endsWith(tool)), `${tool} is not offered: ${model.tools}`);
  }
  const seen = JSON.stringify(model.requests.at(-1));
  const has = (...words) => words.forEach((word) => assert.ok(seen.includes(word), `the model does not see ${word}: ${seen.slice(-3_000)}`));
  has("from the shell");
  has("39999", "omitted");
  has("not on this machine");
  has("started", "sleep 300");
}
