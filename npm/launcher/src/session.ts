/**
 * The file in which each server notes its client's session, so that another server can go on when one dies.
 *
 * It has no name, so nobody else can open it and nothing is left behind; this process holds it while servers come and go. What is in it is
 * between servers, but for the first line: the number of the last one that has served. None of the protocol is understood here.
 */
import { closeSync, constants, openSync, readSync, unlinkSync } from "node:fs";
import { join } from "node:path";

/** The file, by its descriptor. */
export interface Session {
  readonly descriptor: number;
  /** The number of the last server that has served; 0 before the first one has. */
  served(): number;
}

/** Makes the file; `undefined` where none can be made. */
export function makeSession(): Session | undefined {
  const folder = process.env["TMPDIR"] || "/tmp";
  const path = join(folder, `.shell-tool-mcp-${process.pid}-${Math.random().toString(36).slice(2)}`);
  try {
    const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      unlinkSync(path);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    return { descriptor, served: () => lastServer(descriptor) };
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
