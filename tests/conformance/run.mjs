/**
 * Runs the official conformance suite against the shipped server, through the bridge, once for each revision that has requirements, and prints how many
 * checks passed. It fails when a check fails that the baseline does not name, or passes although the baseline names it.
 *
 *   node run.mjs CONFORMANCE SERVER [ARGUMENT…]      CONFORMANCE is the suite's own program
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [conformance, ...server] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "shell-tool-mcp-conformance-"));
const codexHome = join(folder, "codex-home");
mkdirSync(codexHome);

const env = { ...process.env, HOME: folder, CODEX_HOME: codexHome, RUST_LOG: "off" };
const bridge = spawn(process.execPath, [join(here, "bridge.mjs"), ...server], { env, stdio: ["ignore", "pipe", "inherit"] });
const url = await new Promise((resolve, reject) => {
  createInterface({ input: bridge.stdout }).once("line", resolve);
  bridge.once("exit", () => reject(new Error("the bridge did not start")));
});

let failed = false;
for (const revision of ["2025-11-25", "2026-07-28"]) {
  const results = join(folder, revision);
  const args = ["server", "--url", url, "--requirements", revision, "--expected-failures", join(here, `baseline-${revision}.yml`), "-o", results];
  const run = spawnSync(process.execPath, [conformance, ...args], { encoding: "utf8" });
  const counts = { SUCCESS: 0, FAILURE: 0, WARNING: 0, SKIPPED: 0, INFO: 0 };
  // Others are run too (extensions, and what is newer than the revision), but are no requirements.
  const list = spawnSync(process.execPath, [conformance, "list", "--server", "--requirements", revision], { encoding: "utf8" }).stdout;
  const required = list.split("\n").flatMap((line) => /^  - (\S+)$/.exec(line)?.[1] ?? []);
  let scenarios = 0;
  for (const scenario of readdirSync(results)) {
    if (!required.some((name) => scenario.startsWith(`server-${name}-20`))) continue;
    scenarios += 1;
    for (const { status } of JSON.parse(readFileSync(join(results, scenario, "checks.json"), "utf8"))) counts[status] += 1;
  }
  const verdict = run.status === 0 ? "as the baseline says" : "NOT as the baseline says";
  console.log(`${revision}: ${counts.SUCCESS} checks passed, ${counts.FAILURE} failed, ${counts.WARNING} warned, ${counts.SKIPPED} skipped, in ${scenarios} scenarios; ${verdict}`);
  if (run.status !== 0) {
    failed = true;
    const at = run.stdout.indexOf("=== SUMMARY ===");
    console.log(run.stdout.slice(Math.max(at, 0)) + run.stderr);
  }
}
bridge.kill();
rmSync(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
