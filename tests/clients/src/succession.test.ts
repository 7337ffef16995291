/** A server that dies under the launcher: another one takes its place, and the client loses nothing but what was under way. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { always, eventually, Session } from "./session.js";

const NEEDS_PROC = process.platform !== "linux" && "needs /proc";

/** Kills the server of a session, not its launcher, and returns when it is gone. */
async function killServer(session: Session): Promise<void> {
  const launcher = session.transport.pid;
  const children = (): string => readFileSync(`/proc/${launcher}/task/${launcher}/children`, "utf8").trim();
  const server = children();
  process.kill(Number(server), "SIGKILL");
  await eventually(() => children() !== server);
}

test("a server that is killed between two calls is not missed", { timeout: 60_000, skip: NEEDS_PROC }, () =>
  Session.with({}, async (session) => {
    let changed = 0;
    session.client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changed++);
    assert.equal((await session.run("echo one")).output, "one\n");
    await killServer(session);
    assert.equal((await session.run("echo two")).output, "two\n");
    assert.equal(changed, 1);
    assert.ok((await session.client.listTools()).tools.some(({ name }) => name === "shell"));
  }));

test("a call whose server is killed fails with words, and the next one works", { timeout: 60_000, skip: NEEDS_PROC }, () =>
  Session.with({ rules: 'prefix_rule(pattern=["touch"], decision="prompt")\n', human: always("accept") }, async (session) => {
    const call = session.run("echo $$ > pid; : > begun; while :; do sleep 0.05; done", { timeout_ms: 60_000 });
    const failed = assert.rejects(call, /the server died/);
    await eventually(() => existsSync(join(session.folders.workdir, "begun")));
    const shell = readFileSync(join(session.folders.workdir, "pid"), "utf8").trim();
    await killServer(session);
    await failed;
    await eventually(() => !existsSync(`/proc/${shell}`));
    // The client is the one that it was: it can be asked.
    assert.equal((await session.run("touch asked && echo asked")).output, "asked\n");
    assert.equal(session.questions.length, 1);
  }));
