/** Text shortened to a number of columns, with an ellipsis in the last. */
export function ellipsis(text: string, columns: number): string {
  const chars = [...text];
  if (columns <= 0 || chars.length <= columns) return text;
  return columns === 1 ? "…" : `${chars.slice(0, columns - 1).join("")}…`;
}

/** The short form of an ID: twelve digits without the algorithm. */
export function shortId(id: string): string {
  const colon = id.indexOf(":");
  return id.slice(colon + 1, colon + 13);
}
