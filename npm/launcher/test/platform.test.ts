/** What a person reads when an installation cannot work. */
import assert from "node:assert/strict";
import { chmodSync, rmSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { findPrograms, InstallationError, PLATFORM_PACKAGES } from "../src/platform";
import { hostPackage, Installation } from "./installation";

let installation: Installation;
beforeEach(() => {
  installation = new Installation();
});
afterEach(() => installation.remove());

const nothingInstalled = (id: string): string => {
  throw new Error(`Cannot find module '${id}'`);
};

test("an unsupported machine is named, with those that are supported", () => {
  const attempt = (platform: string, arch: string) => () => findPrograms(platform, arch, nothingInstalled);
  assert.throws(attempt("freebsd", "x64"), /no native programs for this machine \(freebsd x64\); there are for: linux x64, linux arm64/);
  assert.throws(attempt("win32", "x64"), /inside WSL 2/);
  assert.throws(attempt("linux", "toString"), InstallationError);
});

for (const [machine, name] of Object.entries(PLATFORM_PACKAGES)) {
  test(`${machine} needs ${name}`, () => {
    const [platform, arch] = machine.split(" ") as [string, string];
    assert.throws(() => findPrograms(platform, arch, nothingInstalled), new RegExp(`the package ${name}, .* is not installed`));
  });
}

test("left-out optional dependencies are suspected when there is no platform package at all", async () => {
  const { code, stderr, stdout } = await installation.run();
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, new RegExp(`^shell-tool-mcp: the package ${hostPackage()}`));
  assert.match(stderr, /--omit=optional/);
});

test("a copied node_modules is suspected when another platform's package is there", async () => {
  const other = Object.values(PLATFORM_PACKAGES).find((name) => name !== hostPackage()) as string;
  installation.addPlatform("", other);
  const { code, stderr } = await installation.run();
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`Instead there is ${other}: node_modules was probably installed on another system`));
});

for (const program of ["exec-server", "execve-wrapper", "bash"]) {
  test(`a missing ${program} is named`, async () => {
    installation.addPlatform("#!/bin/sh\nexit 0\n");
    assert.equal((await installation.run()).code, 0);
    rmSync(installation.program(program));
    const { code, stderr } = await installation.run();
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`the program .*/bin/${program} is missing`));
  });

  test(`a ${program} without permission to execute is named`, async () => {
    installation.addPlatform("#!/bin/sh\nexit 0\n");
    chmodSync(installation.program(program), 0o644);
    const { code, stderr } = await installation.run();
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`/bin/${program} may not be executed`));
  });
}

test("a server without its dynamic loader is explained", async () => {
  installation.addPlatform("#!/nonexistent/loader\n");
  const { code, stderr } = await installation.run();
  assert.equal(code, 1);
  assert.match(stderr, /cannot start .*exec-server.*\n.*its dynamic loader is not/);
});
