#!/usr/bin/env node
/**
 * The command that MCP clients start: finds this machine's native programs and hands over to the server.
 *
 * Flow: client → **this launcher** → exec-server (same stdin, stdout and stderr; not one byte of the protocol passes through here).
 * It does not read rules, configuration or the protocol, and it downloads nothing.
 */
import { isSubcommand, serverArguments } from "./arguments";
import { findPrograms, InstallationError } from "./platform";
import { makeSession } from "./session";
import { SESSION_NUMBER, supervise } from "./supervise";

try {
  const programs = findPrograms(process.platform, process.arch, (id) => require.resolve(id));
  const [, command = programs.server, ...typed] = process.argv;
  const session = isSubcommand(typed) ? undefined : makeSession();
  const kept = session === undefined ? [] : ["--session-fd", String(SESSION_NUMBER)];
  supervise(programs.server, [...kept, ...serverArguments(programs, typed)], command, session);
} catch (error) {
  if (!(error instanceof InstallationError)) throw error;
  process.stderr.write(`shell-tool-mcp: ${error.message}\n`);
  process.exitCode = 1;
}
