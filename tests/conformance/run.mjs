/**
 * Runs the official conformance suite, once for each revision that has requirements, against the fixture and against the shipped server through the
 * bridge, and prints how many checks passed. It fails when a check fails that the baseline does not name, or passes although the baseline names it.
 *
 *   node run.mjs CONFORMANCE FIXTURE PROGRAMS      CONFORMANCE is the suite's own program, PROGRAMS the folder with exec-server, bash and execve-wrapper
 */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [conformance, fixture, programs] = process.argv.slice(2).map((path) => resolve(path));
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "shell-tool-mcp-conformance-"));
const codexHome = join(folder, "codex-home");
mkdirSync(join(codexHome, "rules"), { recursive: true });
copyFileSync(join(here, "conformance.rules"), join(codexHome, "rules", "default.rules"));

const REVISIONS = ["2025-11-25", "2026-07-28"];
const TARGETS = {
  fixture: [fixture, programs, codexHome],
  bridge: [process.execPath, join(here, "bridge.mjs"), join(programs, "exec-server"), "--sandbox", "danger-full-access"],
};

/** Starts a target; it prints its address. */
async function start([program, ...args]) {
  const env = { ...process.env, HOME: folder, CODEX_HOME: codexHome, RUST_LOG: "off" };
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${program} did not start`)));
  });
  return { child, url };
}

/** The scenarios that a revision requires. Others are run too (extensions, and what is newer than the revision). */
function required(revision) {
  const list = spawnSync(process.execPath, [conformance, "list", "--server", "--requirements", revision], { encoding: "utf8" }).stdout;
  const servers = list.slice(0, list.indexOf("Client scenarios"));
  return servers.split("\n").flatMap((line) => /^ {2}- (\S+)$/.exec(line)?.[1] ?? []);
}

/** Runs a revision's requirements: scenario → its checks. */
function run(url, revision, results) {
  const args = ["server", "--url", url, "--requirements", revision, "-o", results];
  const ran = spawnSync(process.execPath, [conformance, ...args], { encoding: "utf8", maxBuffer: 1 << 26 });
  const folders = existsSync(results) ? readdirSync(results) : [];
  const checks = new Map();
  for (const scenario of required(revision)) {
    const found = folders.find((name) => name.startsWith(`server-${scenario}-20`));
    if (!found) throw new Error(`${scenario} was not run:\n${ran.stdout}${ran.stderr}`);
    checks.set(scenario, JSON.parse(readFileSync(join(results, found, "checks.json"), "utf8")));
  }
  if (checks.size === 0) throw new Error(`the suite knows no requirements of ${revision}`);
  return checks;
}

/** Compares with the baseline; returns the line to print and what is not as it says. */
function judge(checks, { leftOut, failures }) {
  const counts = { SUCCESS: 0, FAILURE: 0, WARNING: 0, SKIPPED: 0, INFO: 0 };
  const failed = new Map();
  const known = new Set([...checks].flatMap(([scenario, list]) => [scenario, ...list.map(({ id }) => `${scenario}:${id}`)]));
  const wrong = Object.keys(leftOut).filter((name) => !known.has(name)).map((name) => `nothing to leave out: ${name}`);
  for (const [scenario, list] of checks) {
    if (scenario in leftOut) continue;
    for (const { id, status, errorMessage } of list) {
      if (`${scenario}:${id}` in leftOut) continue;
      counts[status] += 1;
      if (status === "FAILURE" || status === "WARNING") failed.set(`${scenario}:${id}`, errorMessage);
    }
  }
  for (const [name, why] of failed) if (!(name in failures)) wrong.push(`failed: ${name}: ${why}`);
  for (const name of Object.keys(failures)) if (!failed.has(name)) wrong.push(`did not fail, though the baseline says so: ${name}`);
  const left = Object.keys(leftOut).filter((name) => checks.has(name)).length;
  const single = Object.keys(leftOut).length - left;
  const line = `${counts.SUCCESS} checks passed, ${counts.FAILURE} failed, ${counts.WARNING} warned, ${counts.SKIPPED} skipped, `
    + `in ${checks.size - left} scenarios; ${left} scenarios and ${single} single checks left out`;
  return { line, wrong };
}

let good = true;
try {
  for (const [name, command] of Object.entries(TARGETS)) {
    const { child, url } = await start(command);
    try {
      for (const revision of REVISIONS) {
        const baseline = JSON.parse(readFileSync(join(here, `baseline-${name}-${revision}.json`), "utf8"));
        const { line, wrong } = judge(run(url, revision, join(folder, `${name}-${revision}`)), baseline);
        console.log(`${name}, ${revision}: ${line}; ${wrong.length === 0 ? "as the baseline says" : "NOT as the baseline says"}`);
        for (const words of wrong) console.log(`  ${words}`);
        good &&= wrong.length === 0;
      }
    } finally {
      child.kill();
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = good ? 0 : 1;
