/**
 * One server after the other on our stdin, stdout and stderr: a server gets every signal that we are sent, and we end exactly as it ends.
 *
 * Only a crash is not the end, because most clients never start a server again that they have lost. Another one is started then and goes on
 * with the session, unless the one that died has never served: what dies at its start would die again.
 *
 * What cannot be passed on is SIGKILL. The server then lives on until its stdin closes, which it watches: it shares the client's pipe with
 * us, so it serves on undisturbed for a client that is still there, and ends by itself as soon as the client closes the pipe or is gone.
 */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import type { Session } from "./session";

/**
 * Signals that a person or a client may send to the process that it started. Not SIGTSTP and SIGCONT, which a terminal sends to the whole
 * process group anyway. Listening for SIGUSR1 also keeps Node.js from starting its debugger on it.
 */
const PROXIED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

/** Those by which somebody wants the server to end: one that dies after them is not started again. */
const ENDING: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

/** With this code a Rust program ends whose main thread broke. */
const PANICKED = 101;

/** The time between two servers that are started because one died. */
const AGAIN_MS = 10_000;

/** Long enough for a signal sent to ourselves to end us; it takes microseconds. */
const SELF_SIGNAL_GRACE_MS = 1_000;

/** The number that the session's file has in the server: the first one after the standard streams. */
export const SESSION_NUMBER = 3;

/**
 * Starts the program and ends this process when and as it ends; with a session, a crash is not its end. `command` is the path that the user
 * calls this launcher by; the program gets it as its `argv[0]`, and names it wherever it says what to run.
 */
export function supervise(program: string, args: readonly string[], command: string, session?: Session): void {
  let child: ChildProcess | undefined;
  let wanted = true;
  let startedAgain = -Infinity;

  // Listening comes first: a signal that arrives while the child is being made is then handed to it, a moment later.
  for (const signal of PROXIED) {
    process.on(signal, () => {
      const ends = ENDING.includes(signal);
      wanted &&= !ends;
      if (child !== undefined) child.kill(signal);
      else if (ends) dieBy(signal);
    });
  }

  function start(): void {
    const served = session?.served() ?? 0;
    // Node.js reports some failures of spawn by an event and others (E2BIG, EPERM, …) by throwing.
    try {
      child = spawn(program, args, { stdio: streams(session), argv0: command });
    } catch (error) {
      return cannotStart(program, error as NodeJS.ErrnoException);
    }
    child.once("error", (error) => cannotStart(program, error));
    child.once("exit", (code, signal) => {
      child = undefined;
      const crashed = signal !== null || code === PANICKED;
      if (crashed && wanted && session !== undefined && session.served() > served) return startAgain(signal ?? `exit code ${code}`);
      if (signal === null) process.exit(code ?? 1);
      dieBy(signal);
    });
  }

  function startAgain(end: string): void {
    const wait = Math.max(0, startedAgain + AGAIN_MS - Date.now());
    const when = wait === 0 ? "another one goes on" : `another one goes on in ${Math.ceil(wait / 1_000)} s`;
    process.stderr.write(`shell-tool-mcp: the server died (${end}); ${when}\n`);
    setTimeout(() => {
      startedAgain = Date.now();
      start();
    }, wait);
  }

  start();
}

/** What a server inherits, in the order of its numbers. */
function streams(session: Session | undefined): StdioOptions {
  return session === undefined ? "inherit" : ["inherit", "inherit", "inherit", session.descriptor];
}

/**
 * Ends this process by the signal that ended the child, so that whoever waits for us sees the true cause.
 *
 * Removing the last listener makes Node.js restore the signal's default action. Adding one first makes that happen for signals that
 * Node.js itself handles or ignores as well (SIGUSR1, SIGPIPE, SIGXFSZ).
 */
function dieBy(signal: NodeJS.Signals): void {
  if (signal !== "SIGKILL") {
    process.on(signal, () => {});
    process.removeAllListeners(signal);
  }
  process.kill(process.pid, signal);
  // Reached when the signal is blocked or its default action is not to end; never report success then. 128 + n as shells do.
  setTimeout(() => {
    const { signals } = require("node:os").constants as { signals: Record<string, number> };
    process.exit(128 + (signals[signal] ?? 0));
  }, SELF_SIGNAL_GRACE_MS);
}

function cannotStart(program: string, error: NodeJS.ErrnoException): void {
  process.stderr.write(`shell-tool-mcp: cannot start ${program}: ${error.message}${explanation(error.code)}\n`);
  process.exit(1);
}

/** The program was there and executable a moment ago, so these codes have causes that their names do not tell. */
function explanation(code: string | undefined): string {
  switch (code) {
    case "ENOENT":
      return "\nThe file is there, so its dynamic loader is not: it was probably built for another C library than this system's.";
    case "EACCES":
      return "\nA file system mounted with «noexec», or a security policy of this system, forbids it.";
    default:
      return "";
  }
}
