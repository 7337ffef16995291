/**
 * A program in a terminal: its keys, and what is on its screen.
 *
 * `script` (util-linux) gives it a real terminal; `@xterm/headless` understands what it draws.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import xterm, { type IBufferCell } from "@xterm/headless";
import type { Ink, Line, Piece } from "./picture.js";

/** How long something may take to appear, in milliseconds. */
const PATIENCE = 30_000;

/** ANSI's colours, as far as they are used. */
const INKS: Readonly<Record<number, Ink>> = { 1: "red", 2: "green", 3: "yellow", 4: "blue", 6: "cyan", 8: "dim" };

export class Screen {
  readonly #terminal: xterm.Terminal;
  readonly #program: ChildProcess;

  constructor(command: string, env: NodeJS.ProcessEnv, readonly columns: number, readonly rows: number) {
    this.#terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
    const sized = `stty rows ${rows} cols ${columns}; exec ${command}`;
    this.#program = spawn("script", ["-qefc", sized, "/dev/null"], { env: { ...env, TERM: "xterm-256color" }, stdio: ["pipe", "pipe", "ignore"] });
    this.#program.stdout?.on("data", (data: Buffer) => this.#terminal.write(data));
  }

  /** Waits until this is on the screen. */
  async shows(text: string): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    while (!this.text().includes(text)) {
      if (Date.now() > deadline) throw new Error(`«${text}» is not on the screen:\n${this.text()}`);
      await delay(20);
    }
  }

  press(keys: string): void {
    this.#program.stdin?.write(keys);
  }

  close(): void {
    this.#program.kill();
  }

  text(): string {
    return this.lines()
      .map((line) => line.map(({ text }) => text).join(""))
      .join("\n");
  }

  /** What is on the screen, without the empty lines at its end. */
  lines(): Line[] {
    const buffer = this.#terminal.buffer.active;
    const lines: Line[] = [];
    for (let row = 0; row < this.rows; row += 1) {
      const pieces: Piece[] = [];
      const line = buffer.getLine(row);
      for (let column = 0; column < this.columns; column += 1) {
        const cell = line?.getCell(column);
        const [text, ink] = [cell?.getChars() || " ", cell === undefined ? "plain" : inkOf(cell)];
        const last = pieces.at(-1);
        if (last?.ink === ink) pieces[pieces.length - 1] = { text: last.text + text, ink };
        else pieces.push({ text, ink });
      }
      lines.push(pieces);
    }
    while (lines.at(-1)?.every(({ text }) => text.trim() === "")) lines.pop();
    return lines;
  }
}

function inkOf(cell: IBufferCell): Ink {
  if (cell.isFgDefault()) return cell.isBold() ? "bold" : cell.isDim() ? "dim" : "plain";
  return INKS[cell.getFgColor()] ?? "plain";
}
