/** Whose word counts when launcher and user both say where a program is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverArguments } from "../src/arguments";

const PROGRAMS = { server: "/p/exec-server", wrapper: "/p/execve-wrapper", bash: "/p/bash" };

test("both paths are given when the user gives none", () => {
  assert.deepEqual(serverArguments(PROGRAMS, ["--version"]), ["--execve", "/p/execve-wrapper", "--bash", "/p/bash", "--version"]);
});

test("the user's own path replaces ours, in either spelling", () => {
  assert.deepEqual(serverArguments(PROGRAMS, ["--bash", "/mine"]), ["--execve", "/p/execve-wrapper", "--bash", "/mine"]);
  assert.deepEqual(serverArguments(PROGRAMS, ["--execve=/mine"]), ["--bash", "/p/bash", "--execve=/mine"]);
});

test("what follows a double dash is not a flag", () => {
  assert.deepEqual(serverArguments(PROGRAMS, ["--", "--bash"]), ["--execve", "/p/execve-wrapper", "--bash", "/p/bash", "--", "--bash"]);
});

test("a subcommand stands first, and finds the programs by itself", () => {
  assert.deepEqual(serverArguments(PROGRAMS, ["doctor", "--json"]), ["doctor", "--json"]);
  assert.deepEqual(serverArguments(PROGRAMS, []), ["--execve", "/p/execve-wrapper", "--bash", "/p/bash"]);
});
