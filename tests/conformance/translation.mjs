/** Which of the suite's own tools are commands of ours. */
import { readFileSync } from "node:fs";

const commands = JSON.parse(readFileSync(new URL("commands.json", import.meta.url), "utf8"));

/** Makes a call of one of the suite's tools a call of `shell`. */
export function translate(message) {
  const known = message.method === "tools/call" && Object.hasOwn(commands, message.params?.name) && commands[message.params.name];
  if (!known) return message;
  const seconds = Math.trunc(Number(message.params.arguments?.seconds ?? 0));
  // A task is what takes longer than a second.
  const command = known.command?.replace("{seconds}", String(2 * seconds));
  const args = command === undefined ? undefined : { command, workdir: "/", timeout_ms: 300_000 };
  return { ...message, params: { ...message.params, name: "shell", arguments: args } };
}
