/** Agents that do one prompt and end. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { agents } from "./session.mjs";

/** Runs an agent to its end; gives what it printed. */
export function run(name, args, home, environment) {
  const child = spawn(join(agents, "node_modules/.bin", name), args, {
    stdio: ["ignore", "pipe", process.env.AGENT_LOG ? "inherit" : "ignore"],
    cwd: home.work,
    env: home.environment(environment),
  });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout }));
  });
}
