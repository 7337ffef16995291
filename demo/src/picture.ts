/** Lines of coloured text → an SVG that looks like a terminal. It knows nothing of where the text comes from. */

/** What a piece of text is, as far as its colour tells it. */
export type Ink = "plain" | "dim" | "bold" | "red" | "green" | "yellow" | "blue" | "cyan";

/** A piece of a line. */
export interface Piece {
  readonly text: string;
  readonly ink: Ink;
}

export type Line = readonly Piece[];

/** The colours of one picture. */
export interface Paper {
  readonly background: string;
  readonly frame: string;
  readonly inks: Readonly<Record<Ink, string>>;
}

export const DARK: Paper = {
  background: "#0d1117",
  frame: "#30363d",
  inks: {
    plain: "#e6edf3",
    dim: "#8b949e",
    bold: "#ffffff",
    red: "#ff7b72",
    green: "#56d364",
    yellow: "#e3b341",
    blue: "#79c0ff",
    cyan: "#76e3ea",
  },
};

export const LIGHT: Paper = {
  background: "#ffffff",
  frame: "#d0d7de",
  inks: {
    plain: "#1f2328",
    dim: "#59636e",
    bold: "#000000",
    red: "#cf222e",
    green: "#116329",
    yellow: "#7d4e00",
    blue: "#0550ae",
    cyan: "#1b7c83",
  },
};

const COLUMN = 8.4;
const ROW = 18;
const MARGIN = 16;

/** Draws the lines on one paper. `title` is what a reader hears who does not see it. */
export function draw(lines: readonly Line[], columns: number, paper: Paper, title: string): string {
  const width = Math.ceil(columns * COLUMN + 2 * MARGIN);
  const height = lines.length * ROW + 2 * MARGIN;
  const rows = lines.map((line, row) => drawLine(line, MARGIN + (row + 0.75) * ROW, paper));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="${paper.background}" stroke="${paper.frame}"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve">`,
    ...rows.filter((row) => row !== ""),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

/** Each piece is put at its own column and stretched to its own width, so that fonts of other widths keep the columns. */
function drawLine(line: Line, y: number, paper: Paper): string {
  let column = 0;
  let drawn = "";
  for (const { text, ink } of line) {
    const blanks = text.length - text.trimStart().length;
    const shown = text.trim();
    if (shown !== "") {
      const x = (MARGIN + (column + blanks) * COLUMN).toFixed(1);
      const weight = ink === "bold" ? ` font-weight="bold"` : "";
      const length = (shown.length * COLUMN).toFixed(1);
      drawn += `<text x="${x}" y="${y}" textLength="${length}" fill="${paper.inks[ink]}"${weight}>${escaped(shown)}</text>`;
    }
    column += text.length;
  }
  return drawn;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
