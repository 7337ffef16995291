/**
 * The file in which each server notes its client's session, so that another server can go on when one dies.
 *
 * It never has a name, so nobody else can open it and nothing is left behind; this process holds it while servers come and go. What is in it
 * is between servers, but for the first line: the number of the last one that has served. None of the protocol is understood here.
 */
import { closeSync, constants, openSync, readSync, unlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** `__O_TMPFILE` (open(2)), which Node.js does not name: a file in this folder without a name, to which none can be given later. */
const NAMELESS = 0o20000000 | constants.O_DIRECTORY | constants.O_EXCL;

/** The file, by its descriptor. */
export interface Session {
  readonly descriptor: number;
  /** The number of the last server that has served; 0 before the first one has. */
  served(): number;
}

/** Makes the file; `undefined` where none can be made. */
export function makeSession(): Session | undefined {
  const shared = process.env["TMPDIR"] || "/tmp";
  // Commands cannot write there. Where it does not exist, one of another session could open the file in the moment in which it has a name.
  const own = process.env["CODEX_HOME"] || join(homedir(), ".codex");
  const descriptor = nameless(shared) ?? unlinked(own) ?? unlinked(shared);
  return descriptor === undefined ? undefined : { descriptor, served: () => lastServer(descriptor) };
}

function nameless(folder: string): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return openSync(folder, NAMELESS | constants.O_RDWR, 0o600);
  } catch {
    return undefined; // Not every file system can.
  }
}

function unlinked(folder: string): number | undefined {
  const path = join(folder, `.shell-tool-mcp-${process.pid}-${Math.random().toString(36).slice(2)}`);
  try {
    const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      unlinkSync(path);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    return descriptor;
  } catch {
    return undefined;
  }
}

function lastServer(descriptor: number): number {
  const line = Buffer.alloc(8);
  try {
    return readSync(descriptor, line, 0, line.length, 0) === line.length ? Number(line.toString("latin1")) || 0 : 0;
  } catch {
    return 0;
  }
}
