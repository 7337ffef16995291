/**
 * `make package`: turns built programs and the compiled launcher into the tarballs in `dist/npm/`.
 *
 *     pack.js           every platform whose programs are there
 *     pack.js --here    this machine's alone
 *
 * Programs are taken from `dist/bin/` for the machine that runs this when they were built here, and else from `dist/platforms/<platform>/`,
 * where a release collects them. It builds nothing and publishes nothing; a platform whose programs are absent is left out, and that is said.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { launcherManifest, packageName, platformManifest, type Manifest, type Release } from "./manifests";
import { builtFor, PLATFORMS, type Platform } from "./platforms";

const ROOT = resolve(__dirname, "../../..");
const OUTPUT = join(ROOT, "dist/npm");
const STAGE = join(ROOT, "target/npm");
const PROGRAMS = ["exec-server", "execve-wrapper", "bash"];

/** What the patched Bash was made from and how; shipped with it, because its licence asks for that. */
const BASH_SOURCE = /^(upstream\.lock|build\.sh|README\.md|.*\.patch)$/;

/** Something that the person who runs `make package` can repair. */
class PackagingError extends Error {}

function main(): void {
  const release: Release = { version: workspaceVersion(), repository: repository() };
  rmSync(STAGE, { recursive: true, force: true });
  rmSync(OUTPUT, { recursive: true, force: true });
  mkdirSync(OUTPUT, { recursive: true });

  const wanted = PLATFORMS.filter((platform) => !process.argv.includes("--here") || isHere(platform));
  const present = wanted.filter((platform) => programsOf(platform) !== undefined);
  const absent = wanted.filter((platform) => !present.includes(platform));
  if (present.length === 0) throw new PackagingError("there are no programs to pack; run «make build» first");

  for (const platform of present) pack(stagePlatform(platform, release));
  pack(stageLauncher(release));
  for (const { key } of absent) {
    process.stdout.write(`  left out: shell-tool-mcp-${key} (its programs are not here; they would be in dist/platforms/${key}/)\n`);
  }
}

/** The version of the Cargo workspace, which is the only place where one is written. */
function workspaceVersion(): string {
  const options = { cwd: ROOT, encoding: "utf8", maxBuffer: 64 << 20 } as const;
  const metadata = execFileSync("cargo", ["metadata", "--no-deps", "--format-version", "1"], options);
  const { packages } = JSON.parse(metadata) as { packages: Array<{ name: string; version: string }> };
  const server = packages.find(({ name }) => name === "exec-server");
  if (server === undefined) throw new PackagingError("cargo knows no package exec-server");
  return server.version;
}

/** Known only where GitHub builds a release; a fork's packages then name the fork. */
function repository(): string | undefined {
  const { GITHUB_SERVER_URL: host, GITHUB_REPOSITORY: name } = process.env;
  return host && name ? `${host}/${name}` : undefined;
}

function isHere(platform: Platform): boolean {
  return platform.os === process.platform && platform.cpu === process.arch;
}

/** The folder with a platform's programs, checked, or nothing when none of them is there. */
function programsOf(platform: Platform): string | undefined {
  const folder = join(ROOT, isHere(platform) && existsSync(join(ROOT, "dist/bin")) ? "dist/bin" : `dist/platforms/${platform.key}`);
  const missing = PROGRAMS.filter((program) => !existsSync(join(folder, program)));
  if (missing.length === PROGRAMS.length) return undefined;
  if (missing.length > 0) throw new PackagingError(`${folder} is incomplete: ${missing.join(", ")} missing`);
  for (const program of PROGRAMS) {
    const actual = builtFor(join(folder, program));
    if (actual !== platform.key) throw new PackagingError(`${join(folder, program)} is not for ${platform.key}: ${actual}`);
  }
  return folder;
}

function stagePlatform(platform: Platform, release: Release): string {
  const stage = freshStage(packageName(platform), platformManifest(platform, release));
  const programs = programsOf(platform) as string;
  for (const program of PROGRAMS) {
    const target = join(stage, "bin", program);
    cpSync(join(programs, program), target);
    chmodSync(target, 0o755);
  }
  cpSync(join(ROOT, "npm/platform"), stage, { recursive: true });
  const bashPatches = join(ROOT, "bash-patches");
  for (const file of readdirSync(bashPatches).filter((name) => BASH_SOURCE.test(name))) {
    cpSync(join(bashPatches, file), join(stage, "bash-source", file));
  }
  return stage;
}

function stageLauncher(release: Release): string {
  const source = JSON.parse(readFileSync(join(ROOT, "npm/launcher/package.json"), "utf8")) as Manifest;
  const stage = freshStage("shell-tool-mcp", launcherManifest(source, PLATFORMS, release));
  cpSync(join(ROOT, "npm/build/launcher/src"), join(stage, "lib"), { recursive: true });
  chmodSync(join(stage, "lib/main.js"), 0o755);
  cpSync(join(ROOT, "npm/launcher/README.md"), join(stage, "README.md"));
  return stage;
}

function freshStage(name: string, manifest: Manifest): string {
  const stage = join(STAGE, name);
  mkdirSync(stage, { recursive: true });
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const file of ["LICENSE", "NOTICE"]) cpSync(join(ROOT, file), join(stage, file));
  return stage;
}

function pack(stage: string): void {
  const options = ["--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", OUTPUT];
  const report = execFileSync("npm", ["pack", ...options], { cwd: stage, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const parsed = JSON.parse(report) as Array<{ filename: string; unpackedSize: number }>;
  const { filename, unpackedSize } = parsed[0] as { filename: string; unpackedSize: number };
  const packed = statSync(join(OUTPUT, filename)).size;
  process.stdout.write(`  dist/npm/${filename}: ${kilobytes(packed)} to download, ${kilobytes(unpackedSize)} installed\n`);
}

function kilobytes(bytes: number): string {
  return `${Math.ceil(bytes / 1000).toLocaleString("en")} kB`;
}

try {
  main();
} catch (error) {
  if (!(error instanceof PackagingError)) throw error;
  process.stderr.write(`make package: ${error.message}\n`);
  process.exitCode = 1;
}
