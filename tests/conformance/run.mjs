/**
 * Runs the official conformance suite, once for each revision that has requirements, and prints how many checks passed: against our server crate over
 * HTTP, with the tools beside ours that the suite calls (`exec-server/examples/conformance-server`), and against the server as it is shipped, through
 * the bridge. It fails when a check fails that the baseline does not name, or passes although the baseline names it.
 *
 *   node run.mjs CONFORMANCE FIXTURE PROGRAMS      the suite's own program, our example, the folder with exec-server, execve-wrapper and bash
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [conformance, fixture, programs] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "shell-tool-mcp-conformance-"));
const codexHome = join(folder, "codex-home");
mkdirSync(codexHome);
const env = { ...process.env, HOME: folder, CODEX_HOME: codexHome, RUST_LOG: "off" };

const shipped = [join(programs, "exec-server"), "--sandbox", "danger-full-access"];
const servers = {
  fixture: { what: "the server crate over HTTP, with the suite's tools", command: [fixture, programs] },
  bridge: { what: "the shipped server through the bridge", command: [process.execPath, join(here, "bridge.mjs"), ...shipped] },
};

/** Starts a server, which prints its address first. */
async function start([program, ...args]) {
  const server = spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: server.stdout }).once("line", resolve);
    server.once("exit", () => reject(new Error(`${program} did not start`)));
  });
  return { server, url };
}

/** What a baseline leaves out: whole scenarios, and single checks as `scenario:check`. */
function readBaseline(file) {
  return readFileSync(file, "utf8").split("\n").flatMap((line) => /^  - (\S+)$/.exec(line)?.[1] ?? []);
}

/** The names of the scenarios that a revision requires. Others are run, too (extensions, and what is newer), but count for nothing. */
function requirements(revision) {
  const list = spawnSync(process.execPath, [conformance, "list", "--server", "--requirements", revision], { encoding: "utf8" }).stdout;
  const [ofServers] = list.split("Client scenarios");
  return ofServers.split("\n").flatMap((line) => /^  - (\S+)$/.exec(line)?.[1] ?? []);
}

/** Counts the checks of the required scenarios that the baseline does not leave out. */
function count(results, required, leftOut) {
  const counts = { scenarios: 0, SUCCESS: 0, FAILURE: 0, WARNING: 0, SKIPPED: 0, INFO: 0 };
  for (const run of readdirSync(results)) {
    const scenario = required.find((name) => run.startsWith(`server-${name}-20`));
    if (!scenario || leftOut.includes(scenario)) continue;
    counts.scenarios += 1;
    for (const { id, status } of JSON.parse(readFileSync(join(results, run, "checks.json"), "utf8"))) {
      if (!leftOut.includes(`${scenario}:${id}`)) counts[status] += 1;
    }
  }
  return counts;
}

let failed = false;
for (const [name, { what, command }] of Object.entries(servers)) {
  const { server, url } = await start(command);
  console.log(`\n${what}:`);
  for (const revision of ["2025-11-25", "2026-07-28"]) {
    const baseline = join(here, `${name}-${revision}.yml`);
    const results = join(folder, name, revision);
    const args = ["server", "--url", url, "--requirements", revision, "--expected-failures", baseline, "-o", results];
    const run = spawnSync(process.execPath, [conformance, ...args], { encoding: "utf8" });
    const leftOut = readBaseline(baseline);
    const required = requirements(revision);
    const { scenarios, SUCCESS, FAILURE, WARNING, SKIPPED } = count(results, required, leftOut);
    const checks = leftOut.filter((entry) => entry.includes(":")).length;
    console.log(
      `  ${revision}: ${SUCCESS} checks passed, ${FAILURE} failed, ${WARNING} warned, ${SKIPPED} skipped, in ${scenarios} of ${required.length} scenarios; ` +
        `left out, with a reason each: ${leftOut.length - checks} scenarios, ${checks} checks`,
    );
    if (run.status !== 0) {
      failed = true;
      console.log("  NOT as the baseline says:");
      console.log(run.stdout.slice(Math.max(run.stdout.indexOf("=== SUMMARY ==="), 0)) + run.stderr);
    }
  }
  server.kill();
}
rmSync(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
