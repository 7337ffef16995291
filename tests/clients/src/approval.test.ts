/** Programs that rules mention: run outside by permission, asked about, refused. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";
import { always, milliseconds, Session, type Human, type Outcome } from "./session.js";

const RULES = `
prefix_rule(pattern = ["sh", "-c"], decision = "allow", match = ["sh -c true"])
prefix_rule(pattern = ["touch"], decision = "prompt", justification = "It makes a file.")
prefix_rule(pattern = ["rmdir"], decision = "forbidden", justification = "Folders stay.")
`;

/** Prints the program that started it. The server starts what runs by permission, and Bash what runs in place. */
const SHOW_PARENT = process.platform === "linux" ? `sh -c 'readlink /proc/$PPID/exe'` : `sh -c 'ps -o comm= -p $PPID'`;

test("a program that no rule mentions is started by Bash, one that a rule allows by the server", () =>
  Session.with({ rules: RULES, human: always("decline") }, async (session) => {
    assert.match((await session.run(`env ${SHOW_PARENT}; true`)).output, /\/bash\n$/);
    assert.match((await session.run(`${SHOW_PARENT}; true`)).output, /\/exec-server\n$/);
    assert.deepEqual(session.questions, []);
  }));

test("an allowed program's exit code, input and output are its own", () =>
  Session.with({ rules: RULES }, async (session) => {
    const { exit_code, output } = await session.run(`echo in | sh -c 'cat; echo err >&2; exit 5'`);
    assert.deepEqual({ exit_code, output }, { exit_code: 5, output: "in\nerr\n" });
  }));

/** Asks for a file and says whether it came to be. */
async function touch(human: Human | undefined, args: Record<string, unknown> = {}): Promise<{ outcome: Outcome; made: boolean; asked: string[] }> {
  const options = human ? { rules: RULES, human } : { rules: RULES };
  return Session.with(options, async (session) => {
    const outcome = await session.run("touch 'a file'", args);
    const path = join(session.folders.workdir, "a file");
    const asked = session.questions.map(({ message }) => message.replaceAll(session.folders.workdir, "WORKDIR"));
    return { outcome, made: existsSync(path), asked };
  });
}

test("an accepted program runs", async () => {
  const { outcome, made, asked } = await touch(always("accept"));
  assert.equal(outcome.exit_code, 0, outcome.output);
  assert.ok(made);
  assert.equal(asked.length, 1);
});

test("the question names program, arguments, folder and the rule's reason, and asks for a decision alone", () =>
  Session.with({ rules: RULES, human: always("accept") }, async (session) => {
    await session.run("touch 'a file'");
    const [question] = session.questions;
    assert.match(question?.message ?? "", /^Allow agent to run `\S*\/touch 'a file'` in `/);
    assert.ok(question?.message.includes(`in \`${session.folders.workdir}\`?`), question?.message);
    assert.match(question?.message ?? "", /It makes a file\./);
    assert.equal(question?.requestedSchema.type, "object");
    assert.deepEqual(Object.keys(question?.requestedSchema.properties ?? {}), ["decision"]);
    assert.deepEqual(Object.keys(question?.requestedSchema ?? {}).sort(), ["properties", "required", "type"]);
  }));

for (const [action, says] of [["decline", /Execution denied: .*declined/], ["cancel", /Execution denied: .*cancel/]] as const) {
  test(`a program does not run when the answer is ${action}`, async () => {
    const { outcome, made, asked } = await touch(always(action));
    assert.equal(outcome.exit_code, 1);
    assert.match(outcome.output, says);
    assert.ok(!made);
    assert.equal(asked.length, 1);
  });
}

test("a program does not run when the client answers with an error, and the session goes on", () =>
  Session.with({ rules: RULES, human: () => Promise.reject(new Error("the dialog could not be shown")) }, async (session) => {
    const { exit_code, output } = await session.run("touch file");
    assert.equal(exit_code, 1);
    assert.match(output, /Execution denied: /);
    assert.ok(!existsSync(join(session.folders.workdir, "file")));
    assert.equal((await session.run("echo on")).output, "on\n");
  }));

test("a client that cannot ask gets a refusal at once, which names the rule and who can allow it", async () => {
  const begun = Date.now();
  const { outcome, made } = await touch(undefined, { timeout_ms: 60_000 });
  assert.ok(Date.now() - begun < 20_000, "refused at once, not after some time limit");
  assert.equal(outcome.exit_code, 1);
  assert.match(outcome.output, /Execution denied: /);
  // The rule for touch is in line 3.
  assert.match(outcome.output, /default\.rules:3\b/);
  assert.match(outcome.output, /only a person can allow it/);
  assert.ok(!made);
});

test("a forbidden program does not run, nobody is asked, and the reason is given", () =>
  Session.with({ rules: RULES, human: always("accept") }, async (session) => {
    const folder = join(session.folders.workdir, "folder");
    mkdirSync(folder);
    const { exit_code, output } = await session.run("rmdir folder");
    assert.equal(exit_code, 1);
    assert.match(output, /Execution denied: /);
    assert.match(output, /Folders stay\./);
    assert.ok(existsSync(folder));
    assert.deepEqual(session.questions, []);
  }));

test("the time that the human takes does not count against the command", async () => {
  // A real time, for it is the subject: longer than the command may take in all.
  const slow: Human = async () => {
    await delay(2_500);
    return { action: "accept", content: {} };
  };
  const { outcome, made } = await touch(slow, { timeout_ms: 1_000 });
  assert.deepEqual({ exit_code: outcome.exit_code, timed_out: outcome.timed_out }, { exit_code: 0, timed_out: false }, outcome.output);
  assert.ok(made);
  const [all, waiting] = [milliseconds(outcome.duration), milliseconds(outcome.approval_wait ?? { secs: 0, nanos: 0 })];
  assert.ok(waiting >= 2_490, `waited for ${waiting} ms`);
  assert.ok(all >= waiting && all - waiting < 1_000, `${all} ms in all, ${waiting} ms of waiting`);
});

test("the time limit goes on after the answer", () =>
  Session.with({ rules: RULES, human: always("accept") }, async (session) => {
    const { timed_out } = await session.run("touch file; sleep 60", { timeout_ms: 1_000 });
    assert.ok(timed_out);
    assert.ok(existsSync(join(session.folders.workdir, "file")));
  }));

test("a program is refused and the rest of the script goes on", () =>
  Session.with({ rules: RULES, human: always("decline") }, async (session) => {
    const { exit_code, output } = await session.run("touch file || echo refused; ls");
    assert.equal(exit_code, 0);
    assert.match(output, /refused\n$/);
  }));
