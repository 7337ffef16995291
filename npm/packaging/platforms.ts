/**
 * The platforms that packages are made for, and how to tell from a file's first bytes which of them it was built for.
 *
 * Packing a program into the wrong platform's package would only be noticed by the users of that platform.
 */
import { closeSync, openSync, readSync } from "node:fs";

/** One platform, in npm's words. `machine` is how {@link builtFor} names it. */
export interface Platform {
  readonly key: string;
  readonly os: "linux" | "darwin";
  readonly cpu: "x64" | "arm64";
}

export const PLATFORMS: readonly Platform[] = [
  { key: "linux-x64", os: "linux", cpu: "x64" },
  { key: "linux-arm64", os: "linux", cpu: "arm64" },
  { key: "darwin-arm64", os: "darwin", cpu: "arm64" },
  { key: "darwin-x64", os: "darwin", cpu: "x64" },
];

/** `e_machine` of ELF (System V ABI, "ELF header"; values registered with the processor supplements). */
const ELF_MACHINES: Readonly<Record<number, string>> = { 62: "linux-x64", 183: "linux-arm64" };

/** `cputype` of a 64-bit Mach-O file (`mach/machine.h`). */
const MACH_O_CPUS: Readonly<Record<number, string>> = { 0x01000007: "darwin-x64", 0x0100000c: "darwin-arm64" };

/** The key of the platform that an executable was built for, or what it is instead. */
export function builtFor(path: string): string {
  const head = Buffer.alloc(20);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  if (head.readUInt32BE(0) === 0x7f454c46) return ELF_MACHINES[head.readUInt16LE(18)] ?? "ELF for another processor";
  if (head.readUInt32LE(0) === 0xfeedfacf) return MACH_O_CPUS[head.readUInt32LE(4)] ?? "Mach-O for another processor";
  return "not a native program";
}
