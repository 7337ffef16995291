/** What the demo prints, and how it looks. Colours only on a terminal, and not when `NO_COLOR` is set (no-color.org). */

const coloured = process.stdout.isTTY && !process.env["NO_COLOR"];

function styled(code: number, text: string): string {
  return coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
}

function indented(text: string, margin: string): string {
  return text.replace(/\n$/, "").split("\n").map((line) => `${margin}${line}`).join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export const say = {
  /** Opens a step. */
  title: (text: string): void => print(`\n${styled(1, text)}`),
  /** A command as the agent would send it. */
  command: (text: string, folder: string): void => print(styled(36, `  ${folder} $ ${text}`)),
  /** Text as it came back, or a file's. */
  text: (text: string): void => print(indented(text, "  │ ")),
  /** A question of the server's to the human. */
  question: (text: string): void => print(styled(33, indented(text, "  ? "))),
  /** A remark of the demo's own. */
  note: (text: string): void => print(styled(2, `  (${text})`)),
  /** That a step went as it should. */
  good: (text: string): void => print(styled(32, `  ✓ ${text}`)),
  /** That it did not. */
  bad: (text: string): void => print(styled(31, `  ✗ ${text}`)),
};
