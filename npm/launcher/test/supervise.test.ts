/** The launcher as a process: what reaches the server, and that the launcher ends exactly as the server does. */
import assert from "node:assert/strict";
import { rmSync, symlinkSync } from "node:fs";
import { constants } from "node:os";
import { after, before, test } from "node:test";
import { ending, firstLine, Installation } from "./installation";

/** Does what its first argument after the launcher's own four says, which begins with two dashes: a bare word is a subcommand. */
const SERVER = `#!${process.execPath}
const [flag, value] = process.argv.slice(6);
const what = flag.slice(2);
const act = {
  arguments: () => console.log(JSON.stringify(process.argv.slice(2))),
  echo: () => process.stdin.pipe(process.stdout),
  exit: () => process.exit(Number(value)),
  die: () => {
    if (value !== "SIGKILL") process.on(value, () => {}).removeAllListeners(value);
    process.kill(process.pid, value);
    setInterval(() => {}, 1000);
  },
  catch: () => { process.on(value, () => { console.log("caught " + value); process.exit(7); }); console.log("ready"); setInterval(() => {}, 1000); },
  "until-eof": () => { console.log(process.pid); process.stdin.resume().on("end", () => process.exit(0)); },
};
act[what]();
`;

let installation: Installation;
before(() => {
  installation = new Installation();
  installation.addPlatform(SERVER);
});
after(() => installation.remove());

test("the server gets the paths of its wrapper and its Bash before the user's arguments", async () => {
  const { stdout, code } = await installation.run(["--arguments", "--sandbox", "read-only"]);
  const expected = ["--execve", installation.program("execve-wrapper"), "--bash", installation.program("bash")];
  assert.deepEqual(JSON.parse(stdout), [...expected, "--arguments", "--sandbox", "read-only"]);
  assert.equal(code, 0);
});

test("the server is told what the user calls the launcher", async () => {
  const other = new Installation();
  other.addPlatform("");
  other.addProgram("show.js", "console.log(process.argv0);");
  // A script would not see it: the kernel puts its interpreter there.
  rmSync(other.program("exec-server"));
  symlinkSync(process.execPath, other.program("exec-server"));
  const { stdout } = await other.run([other.program("show.js")]);
  assert.equal(stdout, `${other.launcher}\n`);
  other.remove();
});

test("stdin and stdout are the server's own, byte for byte", async () => {
  const text = "{\"jsonrpc\":\"2.0\"}\n".repeat(100_000);
  const { stdout } = await installation.run(["--echo"], text);
  assert.ok(stdout === text, `${stdout.length} of ${text.length} characters came back`);
});

for (const status of [0, 1, 42, 255]) {
  test(`exit code ${status} is passed on`, async () => {
    const { code, signal } = await installation.run(["--exit", String(status)]);
    assert.deepEqual({ code, signal }, { code: status, signal: null });
  });
}

// SIGPIPE and SIGXFSZ are ignored by Node.js and SIGUSR1 starts its debugger, so the launcher has to undo that to die by them.
for (const name of ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGABRT", "SIGPIPE", "SIGUSR1", "SIGXFSZ"] as const) {
  test(`a server that dies by ${name} makes the launcher die by it`, async () => {
    const { code, signal } = await installation.run(["--die", name]);
    assert.deepEqual({ code, signal }, { code: null, signal: name });
  });
}

for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) {
  test(`${name} is handed to the server, which decides what it means`, async () => {
    const launcher = installation.start(["--catch", name]);
    const ended = ending(launcher);
    await firstLine(launcher);
    launcher.kill(name);
    const { stdout, code, signal } = await ended;
    assert.deepEqual({ code, signal }, { code: 7, signal: null });
    assert.match(stdout, new RegExp(`caught ${name}`));
  });
}

test("a server whose launcher was killed lives until the client closes its stdin", { timeout: 30_000 }, async () => {
  const launcher = installation.start(["--until-eof"]);
  const exited = new Promise((resolve) => launcher.once("exit", (_code, signal) => resolve(signal)));
  const closed = ending(launcher);
  const server = Number(await firstLine(launcher));
  launcher.kill("SIGKILL");
  assert.equal(await exited, "SIGKILL");
  assert.ok(alive(server), "the client is still there, so the server goes on serving it");
  launcher.stdin?.end();
  // Only the server still holds the other end of our pipes, so they close when it has ended. (Its process number may stay for a while,
  // until whoever inherited it collects it.)
  await closed;
});

/** Whether a process exists. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).errno, -constants.errno.ESRCH);
    return false;
  }
}
