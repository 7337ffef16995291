/**
 * What the server is started with: where its wrapper and its Bash are, then whatever the user typed.
 *
 * It does not interpret any other flag; the server owns its command line.
 */
import type { Programs } from "./platform";

/** Whether a subcommand was typed (`doctor`, `approve`, …), not the server. */
export function isSubcommand(typed: readonly string[]): boolean {
  return typed[0] !== undefined && !typed[0].startsWith("-");
}

/**
 * Puts `--execve` and `--bash` before the user's arguments. One that the user gives is not added, so that the user's wins without
 * the server having to accept a flag twice. A subcommand (`doctor`, `approve`, …) is passed on as it is: it takes no flags before it, and
 * finds both programs beside itself.
 */
export function serverArguments(programs: Programs, typed: readonly string[]): string[] {
  if (isSubcommand(typed)) return [...typed];
  const defaults: Array<[flag: string, path: string]> = [
    ["--execve", programs.wrapper],
    ["--bash", programs.bash],
  ];
  return [...defaults.filter(([flag]) => !gives(typed, flag)).flat(), ...typed];
}

function gives(typed: readonly string[], flag: string): boolean {
  const end = typed.indexOf("--");
  const flags = end === -1 ? typed : typed.slice(0, end);
  return flags.some((word) => word === flag || word.startsWith(`${flag}=`));
}
