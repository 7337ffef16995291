/**
 * Who answers the server's questions: the person at the terminal when there is one, and otherwise a script, which says that it is one.
 *
 * It stands where an agent's client stands: it shows the question that the server sent and returns the answer, and decides nothing else.
 */
import { createInterface } from "node:readline/promises";
import type { ElicitRequestFormParams, ElicitResult } from "@modelcontextprotocol/sdk/types.js";
import { say } from "./transcript.js";

/** Puts the question to whoever is there. */
export async function answer({ message }: ElicitRequestFormParams): Promise<ElicitResult> {
  say.question(message);
  const answered = process.stdin.isTTY && process.stdout.isTTY ? await askAtTerminal() : scripted();
  say.note(`answer sent to the server: ${JSON.stringify(answered)}`);
  return answered;
}

async function askAtTerminal(): Promise<ElicitResult> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    for (;;) {
      const typed = (await terminal.question("  y = yes, n = no, c = cancel: ")).trim().toLowerCase();
      if (typed === "y") return { action: "accept", content: { reason: "agreed at the terminal" } };
      if (typed === "n") return { action: "decline" };
      if (typed === "c") return { action: "cancel" };
    }
  } finally {
    terminal.close();
  }
}

function scripted(): ElicitResult {
  say.note("no terminal to ask at, so a script answers yes");
  return { action: "accept", content: { reason: "scripted answer of make demo" } };
}
