/**
 * Runs the official conformance suite, once for each revision of MCP that has requirements, against three servers: the fixture (our server with the
 * suite's own tools before it, over HTTP), the program as it is shipped behind HTTP, and over standard input and output, through the bridge. Prints how many checks passed, and fails when
 * that is not exactly what the baseline of the revision says: in either direction, so that no entry outlives its reason.
 *
 *   node run.mjs CONFORMANCE FIXTURE FOLDER      the suite's own program, the fixture, and the folder with the shipped programs
 */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [conformance, fixture, programs] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "shell-tool-mcp-conformance-"));
const codexHome = join(folder, "codex-home");
mkdirSync(join(codexHome, "rules"), { recursive: true });
copyFileSync(join(here, "commands.rules"), join(codexHome, "rules", "default.rules"));
const env = { ...process.env, HOME: folder, CODEX_HOME: codexHome, RUST_LOG: "off" };

const subjects = {
  fixture: [fixture, programs],
  http: [process.execPath, join(here, "proxy.mjs"), join(programs, "exec-server"), "serve", "--http", "127.0.0.1:0", "--sandbox", "danger-full-access"],
  shipped: [process.execPath, join(here, "bridge.mjs"), join(programs, "exec-server"), "--sandbox", "danger-full-access"],
};

/** Starts a program that prints its address, and ends when its standard input does. */
function start([program, ...args]) {
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const url = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${program} ended before it printed its address`)));
  });
  return { url, stop: () => child.stdin.end() };
}

/** The scenarios that the revision requires of servers. Others are run too (extensions, and what is newer), but are no requirements. */
function required(revision) {
  const list = spawnSync(process.execPath, [conformance, "list", "--server", "--requirements", revision], { encoding: "utf8" }).stdout;
  const [, servers = ""] = /^Server scenarios.*\n((?: {2}- .*\n)+)/m.exec(list) ?? [];
  return servers.split("\n").flatMap((line) => /^  - (\S+)$/.exec(line)?.[1] ?? []);
}

/** Every check of the scenarios, as `scenario:check` and what came of it. A scenario that did not report is a failure. */
function check(url, revision, scenarios) {
  const results = mkdtempSync(join(folder, "results-"));
  const run = spawnSync(process.execPath, [conformance, "server", "--url", url, "--requirements", revision, "-o", results], { encoding: "utf8" });
  const reports = readdirSync(results);
  return scenarios.flatMap((scenario) => {
    const report = reports.find((name) => name.startsWith(`server-${scenario}-20`));
    if (!report) return [{ scenario, name: `${scenario}:did-not-run`, status: "FAILURE", why: run.stderr }];
    const checks = JSON.parse(readFileSync(join(results, report, "checks.json"), "utf8"));
    return checks.map(({ id, status, errorMessage }) => ({ scenario, name: `${scenario}:${id}`, status, why: errorMessage }));
  });
}

/** The checks of one scenario that no revision requires. */
function checkOne(url, scenario) {
  const results = mkdtempSync(join(folder, "results-"));
  const args = ["server", "--url", url, "--scenario", scenario, "--spec-version", "2026-07-28", "--force", "-o", results];
  const run = spawnSync(process.execPath, [conformance, ...args], { encoding: "utf8" });
  const [report] = readdirSync(results);
  if (!report) return [{ scenario, name: `${scenario}:did-not-run`, status: "FAILURE", why: run.stderr }];
  const checks = JSON.parse(readFileSync(join(results, report, "checks.json"), "utf8"));
  return checks.map(({ id, status, errorMessage }) => ({ scenario, name: `${scenario}:${id}`, status, why: errorMessage }));
}

/** The scenarios of the extension for tasks. */
function ofTasks() {
  const list = spawnSync(process.execPath, [conformance, "list", "--server"], { encoding: "utf8" }).stdout;
  return [...list.matchAll(/^ {2}- (tasks-\S+) /gm)].map(([, name]) => name);
}

/** Compares with the baseline, and says what is different. */
function compare(checks, { passed, failures, leftOut = {}, notOurs = [] }) {
  const names = ({ scenario, name }, list) => list.includes(scenario) || list.includes(name);
  const excluded = Object.values(leftOut).flat();
  const counted = checks.filter((one) => !names(one, excluded));
  const of = (status) => counted.filter((one) => one.status === status);
  const failed = [...of("FAILURE"), ...of("WARNING")];
  const differences = failed.filter(({ name }) => !(name in failures)).map(({ name, status, why }) => `${status} that the baseline does not name: ${name}: ${why}`);
  for (const name of Object.keys(failures)) {
    if (!failed.some((one) => one.name === name)) differences.push(`the baseline names what does not fail (any more): ${name}`);
  }
  for (const name of [...excluded, ...notOurs]) {
    if (!checks.some((one) => names(one, [name]))) differences.push(`the baseline names what there is not: ${name}`);
  }
  const good = of("SUCCESS");
  if (good.length !== passed) differences.push(`${good.length} checks passed, the baseline says ${passed}`);
  const foreign = good.filter((one) => names(one, notOurs)).length;
  const ofWhich = notOurs.length === 0 ? "" : ` (${foreign} of them about what only the fixture has)`;
  const scenarios = new Set(counted.map(({ scenario }) => scenario)).size;
  const text = `${good.length} checks passed${ofWhich}, ${failed.length} failed, ${of("SKIPPED").length} skipped, in ${scenarios} scenarios`;
  return { text, differences };
}

let different = false;
for (const [subject, command] of Object.entries(subjects)) {
  const server = start(command);
  for (const revision of ["2025-11-25", "2026-07-28"]) {
    const baseline = JSON.parse(readFileSync(join(here, `baseline-${revision}.json`), "utf8"))[subject];
    const { text, differences } = compare(check(await server.url, revision, required(revision)), baseline);
    console.log(`${subject}, ${revision}: ${text}; ${differences.length === 0 ? "as" : "NOT as"} the baseline says`);
    for (const difference of differences) console.log(`  ${difference}`);
    different ||= differences.length > 0;
  }
  if (subject === "shipped") {
    const baseline = JSON.parse(readFileSync(join(here, "baseline-2026-07-28.json"), "utf8")).tasks;
    const url = await server.url;
    const { text, differences } = compare(ofTasks().flatMap((scenario) => checkOne(url, scenario)), baseline);
    console.log(`${subject}, tasks: ${text}; ${differences.length === 0 ? "as" : "NOT as"} the baseline says`);
    for (const difference of differences) console.log(`  ${difference}`);
    different ||= differences.length > 0;
  }
  server.stop();
}
rmSync(folder, { recursive: true, force: true });
process.exit(different ? 1 : 0);
