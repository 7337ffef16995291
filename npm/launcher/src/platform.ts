/**
 * Which package holds the native programs of this machine, and where they are in it.
 *
 * Each platform has a package of its own; npm installs the one that fits, because the launcher's package lists them all as
 * `optionalDependencies` and each names its `os` and `cpu`. Nearly everything that can go wrong with this is decided at installation time
 * and seen only here, so the error texts say what probably happened and how to repair it.
 */
import { accessSync, constants } from "node:fs";
import { dirname, join } from "node:path";

/** The native programs, as absolute paths. */
export interface Programs {
  readonly server: string;
  readonly wrapper: string;
  readonly bash: string;
}

/** This installation cannot work; the message is meant for the person who installed it. */
export class InstallationError extends Error {}

/** The package of each supported machine, keyed by `process.platform` and `process.arch`. */
export const PLATFORM_PACKAGES: Readonly<Record<string, string>> = {
  "linux x64": "shell-tool-mcp-linux-x64",
  "linux arm64": "shell-tool-mcp-linux-arm64",
  "darwin arm64": "shell-tool-mcp-darwin-arm64",
  "darwin x64": "shell-tool-mcp-darwin-x64",
};

/** Finds a module as `require.resolve` does; throws when there is none. */
export type Resolve = (id: string) => string;

/** Finds the native programs for a machine and makes sure that each can be executed. Throws {@link InstallationError}. */
export function findPrograms(platform: string, arch: string, resolve: Resolve): Programs {
  const name = PLATFORM_PACKAGES[`${platform} ${arch}`];
  if (name === undefined) throw new InstallationError(unsupported(platform, arch));

  const root = packageRoot(name, resolve);
  if (root === undefined) throw new InstallationError(notInstalled(name, `${platform} ${arch}`, resolve));

  const program = (file: string): string => executable(join(root, "bin", file), name);
  return { server: program("exec-server"), wrapper: program("execve-wrapper"), bash: program("bash") };
}

function packageRoot(name: string, resolve: Resolve): string | undefined {
  try {
    return dirname(resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

function executable(path: string, name: string): string {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new InstallationError(
      missing
        ? `the program ${path} is missing, though its package ${name} is installed. The installation is incomplete: ` +
          `delete node_modules and install again.`
        : `the program ${path} may not be executed (${(error as Error).message}). Restore its permission with ` +
          `«chmod +x ${path}», and see whether its file system is mounted with «noexec».`,
    );
  }
}

function unsupported(platform: string, arch: string): string {
  const supported = Object.keys(PLATFORM_PACKAGES).join(", ");
  const windows = platform === "win32" ? " On Windows, install and run it inside WSL 2." : "";
  return `there are no native programs for this machine (${platform} ${arch}); there are for: ${supported}.${windows}`;
}

function notInstalled(name: string, machine: string, resolve: Resolve): string {
  const others = Object.values(PLATFORM_PACKAGES).filter((other) => packageRoot(other, resolve) !== undefined);
  const cause =
    others.length > 0
      ? `Instead there is ${others.join(", ")}: node_modules was probably installed on another system, or by a Node.js built for ` +
        `another processor, and copied or mounted here.`
      : `Optional dependencies were probably left out (--omit=optional, --no-optional), or a lockfile that was written on another ` +
        `system does not list the package (npm's known fault with optional dependencies).`;
  return (
    `the package ${name}, which holds the native programs for this machine (${machine}), is not installed.\n${cause}\n` +
    `To repair it, delete node_modules (and, if that does not help, the lockfile) and install again on this machine with ` +
    `optional dependencies included.`
  );
}
