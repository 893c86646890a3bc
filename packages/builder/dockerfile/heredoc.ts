import { expand } from "./shell.ts";

/** A heredoc attached to an instruction: `<<NAME`, `<<-NAME`, `3<<'NAME'`. */
export interface Heredoc {
  name: string;
  fd: number;
  /** Whether variables in the body are replaced (the name was not quoted). */
  expand: boolean;
  /** `<<-`: leading tabs of each line go away. */
  chomp: boolean;
  content: string;
}

const HEREDOC = /^(\d*)<<(-?)\s*([^<]*)$/;
const unset = () => undefined;

/** The heredoc a word announces, or null where it announces none. */
export function parseHeredoc(word: string): Heredoc | null {
  const match = HEREDOC.exec(word);
  const rest = match?.[3] ?? "";
  if (!match || rest === "") return null;
  const plain = expand(rest, unset, { escape: "\\", keepUnset: true }).words;
  if (plain.length !== 1) return null;
  const raw = expand(rest, unset, { escape: "\\", keepUnset: true, rawQuotes: true }).words;
  const name = plain[0]!;
  return {
    name,
    fd: Number(match[1] || 0),
    // A quote that only the raw reading has was a quoting one: the body is then literal, as in the shell.
    expand: countQuotes(name) === countQuotes(raw[0] ?? ""),
    chomp: match[2] === "-",
    content: "",
  };
}

/** All heredocs a line announces, in order. A line the shell could not split announces none. */
export function heredocsOf(line: string): Heredoc[] {
  if (!line.includes("<<")) return [];
  let words: string[];
  try {
    words = expand(line, unset, { escape: "\\", keepUnset: true, rawQuotes: true, rawEscapes: true }).words;
  } catch {
    return [];
  }
  return words.map(parseHeredoc).filter((heredoc) => heredoc !== null);
}

/** The body with `<<-`'s leading tabs taken away. */
export function chompTabs(body: string): string {
  return body.replace(/^\t+/gm, "");
}

function countQuotes(text: string): number {
  return text.split(/['"]/).length;
}
