/** What the published manifests promise to npm, and that they fit what the launcher looks for. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { PLATFORM_PACKAGES } from "../launcher/src/platform";
import { launcherManifest, packageName, platformManifest, type Manifest } from "./manifests";
import { builtFor, PLATFORMS } from "./platforms";

const RELEASE = { version: "1.2.3", repository: undefined };
const SOURCE = JSON.parse(readFileSync(resolve(__dirname, "../../launcher/package.json"), "utf8")) as Manifest;

test("the launcher looks for exactly the packages that are made", () => {
  const made = Object.fromEntries(PLATFORMS.map((platform) => [`${platform.os} ${platform.cpu}`, packageName(platform)]));
  assert.deepEqual(PLATFORM_PACKAGES, made);
});

test("the launcher depends on nothing but exactly its own version of each platform's package, and runs nothing when installed", () => {
  const manifest = launcherManifest(SOURCE, PLATFORMS, RELEASE);
  assert.deepEqual(Object.keys(manifest["optionalDependencies"] as object), PLATFORMS.map(packageName));
  assert.deepEqual(new Set(Object.values(manifest["optionalDependencies"] as object)), new Set(["1.2.3"]));
  for (const absent of ["dependencies", "devDependencies", "peerDependencies", "scripts"]) assert.equal(manifest[absent], undefined);
});

test("npm can tell from a platform package's manifest whether it fits", () => {
  const manifest = platformManifest({ key: "linux-arm64", os: "linux", cpu: "arm64" }, RELEASE);
  assert.deepEqual([manifest["name"], manifest["os"], manifest["cpu"]], ["shell-tool-mcp-linux-arm64", ["linux"], ["arm64"]]);
});

test("what a release is built from is named in every package", () => {
  const release = { version: "1.2.3", repository: "https://example.com/ada/shell" };
  const platform = { key: "linux-x64", os: "linux", cpu: "x64" } as const;
  for (const manifest of [launcherManifest(SOURCE, PLATFORMS, release), platformManifest(platform, release)]) {
    assert.equal(manifest["homepage"], "https://example.com/ada/shell#readme");
    assert.deepEqual(manifest["bugs"], { url: "https://example.com/ada/shell/issues" });
    assert.deepEqual(manifest["repository"], { type: "git", url: "git+https://example.com/ada/shell.git" });
    assert.ok((manifest["files"] as string[]).includes("README.md"));
  }
});

test("the platform that a program was built for is read from the program", () => {
  assert.equal(builtFor(process.execPath), `${process.platform}-${process.arch}`);
  assert.equal(builtFor(__filename), "not a native program");
});
