/** What every agent must manage: list, call, long output, refusal, background. */
import assert from "node:assert/strict";
import { call, say } from "./model.mjs";

// A request repeats what the model has called: what is looked for is in no command.
const COMMANDS = {
  call: "echo from $((40 + 2)) shells",
  long: "seq 1 40000",
  refused: "shutdown now",
  background: "sleep $((299 + 1)) > /dev/null & echo begun $((1 + 1))",
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
  has("from 42 shells");
  has("39999", "omitted");
  has("not on this machine");
  has("begun 2", "sleep 300");
}
