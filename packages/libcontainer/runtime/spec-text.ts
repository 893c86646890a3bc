const PLACEHOLDER = "\u0000unlimited";
const PLACED = /"(soft|hard)":"\\u0000unlimited"/g;

/**
 * A spec (or its process) as JSON for other runtimes. An rlimit without limit is -1 here, and 2^64-1 there, which is no number of
 * JavaScript's.
 */
export function specText(spec: object): string {
  const text = JSON.stringify(spec, (key, value) =>
    (key === "soft" || key === "hard") && value === -1 ? PLACEHOLDER : value,
  );
  return text.replace(PLACED, (_, name: string) => `"${name}":18446744073709551615`);
}
