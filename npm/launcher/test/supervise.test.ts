/** The launcher as a process: what reaches the server, that another one takes over from one that has died, and that else the launcher ends
 * exactly as the server does. */
import assert from "node:assert/strict";
import { rmSync, symlinkSync } from "node:fs";
import { constants } from "node:os";
import { after, before, test } from "node:test";
import { ending, firstLine, Installation } from "./installation";

/** Does what its first argument after the launcher's own six says, which begins with two dashes: a bare word is a subcommand. */
const SERVER = `#!${process.execPath}
const { readlinkSync, readSync, writeSync } = require("node:fs");
const [flag, value] = process.argv.slice(8);
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
  serve: () => {
    const line = Buffer.alloc(8);
    const number = (readSync(3, line, 0, 8, 0) === 8 ? Number(line.toString()) : 0) + 1;
    const [most, unserved] = value.split(",").map(Number);
    if (number !== unserved) writeSync(3, String(number).padStart(8, "0") + "\\n", 0);
    if (number < most) process.kill(process.pid, "SIGKILL");
    console.log(number);
  },
  session: () => console.log(readlinkSync("/proc/self/fd/3")),
  stubborn: () => { process.on("SIGTERM", () => console.log("told")); writeSync(3, "00000001\\n", 0); console.log(process.pid); setInterval(() => {}, 1000); },
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
  const expected = ["--session-fd", "3", "--execve", installation.program("execve-wrapper"), "--bash", installation.program("bash")];
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

// One that has had a name, if only for a moment, shows it here.
test("the session's file has never had a name", { skip: process.platform !== "linux" }, async () => {
  const { stdout } = await installation.run(["--session"]);
  assert.match(stdout, /\/#\d+ \(deleted\)\n$/);
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

test("another server takes over from one that has served and died", async () => {
  const { stdout, stderr, code } = await installation.run(["--serve", "2"]);
  assert.deepEqual({ stdout, code }, { stdout: "2\n", code: 0 });
  assert.match(stderr, /the server died \(SIGKILL\); another one goes on/);
});

test("one that dies before it has served is not started again", async () => {
  const { stdout, code, signal } = await installation.run(["--serve", "9,2"]);
  assert.deepEqual({ stdout, code, signal }, { stdout: "", code: null, signal: "SIGKILL" });
});

test("the next one after that waits, and ends when the launcher is told to end", async () => {
  const launcher = installation.start(["--serve", "3"]);
  const ended = ending(launcher);
  let said = "";
  await new Promise<void>((resolve) => launcher.stderr?.on("data", (text: string) => /goes on in \d+ s/.test((said += text)) && resolve()));
  launcher.kill("SIGTERM");
  const { stdout, signal } = await ended;
  assert.deepEqual({ stdout, signal }, { stdout: "", signal: "SIGTERM" });
});

test("one that was told to end and dies is not started again", async () => {
  const launcher = installation.start(["--stubborn", ""]);
  const ended = ending(launcher);
  const server = Number(await firstLine(launcher));
  let said = "";
  const told = new Promise<void>((resolve) => launcher.stdout?.on("data", (text: string) => (said += text).includes("told") && resolve()));
  launcher.kill("SIGTERM");
  await told;
  process.kill(server, "SIGKILL");
  const { code, signal } = await ended;
  assert.deepEqual({ code, signal }, { code: null, signal: "SIGKILL" });
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
