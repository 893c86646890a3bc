/**
 * Aligns tab-separated cells as Go's text/tabwriter does with spaces: a column is a run of consecutive lines that have
 * a tab-ended cell there; it is as wide as its widest cell plus padding, and at least `minWidth`. The last cell of a
 * line belongs to no column.
 */
export function alignColumns(text: string, minWidth = 10, padding = 3): string {
  const ended = text.endsWith("\n");
  const lines = (ended ? text.slice(0, -1) : text).split("\n").map((line) => line.split("\t"));
  const widths: number[][] = lines.map(() => []);
  measure(lines, widths, 0, lines.length, 0, minWidth, padding);
  const aligned = lines.map((cells, row) =>
    cells.map((cell, column) => (column < cells.length - 1 ? pad(cell, widths[row]![column]!) : cell)).join(""),
  );
  return aligned.join("\n") + (ended ? "\n" : "");
}

function measure(
  lines: string[][],
  widths: number[][],
  from: number,
  to: number,
  column: number,
  minWidth: number,
  padding: number,
): void {
  for (let row = from; row < to; row++) {
    if (column >= lines[row]!.length - 1) continue;
    let end = row;
    let width = minWidth;
    for (; end < to && column < lines[end]!.length - 1; end++) {
      width = Math.max(width, length(lines[end]![column]!) + padding);
    }
    for (let i = row; i < end; i++) widths[i]![column] = width;
    measure(lines, widths, row, end, column + 1, minWidth, padding);
    row = end - 1;
  }
}

function length(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - length(text)));
}
