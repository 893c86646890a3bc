import { invalidParameter } from "@gantry/spec";

/** Parser directives at the top of a Dockerfile: `# syntax=`, `# escape=`, `# check=`. */
export interface Directives {
  escape: "\\" | "`";
  syntax?: string;
  check?: string;
}

const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const KNOWN = new Set(["escape", "syntax", "check"]);

/**
 * Reads directives line by line; they end at the first line that is none (an unknown `# name=value` is a comment and
 * ends them, too). Throws invalidParameter for one given twice and for a wrong escape character.
 */
export class DirectiveReader {
  readonly directives: Directives = { escape: "\\" };
  private readonly seen = new Set<string>();
  private done = false;

  /** Whether the line was a directive. */
  take(line: string): boolean {
    if (this.done) return false;
    const match = DIRECTIVE.exec(line);
    const name = match?.[1]?.toLowerCase();
    if (!match || !name || !KNOWN.has(name)) {
      this.done = true;
      return false;
    }
    if (this.seen.has(name)) throw invalidParameter(`only one ${name} parser directive can be used`);
    this.seen.add(name);
    const value = match[2]!;
    if (name === "escape") {
      if (value !== "\\" && value !== "`") {
        throw invalidParameter(`invalid escape token '${value}' does not match \` or \\`);
      }
      this.directives.escape = value;
    } else if (name === "syntax") this.directives.syntax = value;
    else this.directives.check = value;
    return true;
  }
}

/**
 * The front end a build file asks for: `# syntax=`, `// syntax=` or JSON `{"syntax": …}`, after an optional BOM and
 * shebang line. Undefined where it asks for none.
 */
export function detectSyntax(text: string): string | undefined {
  const body = text.replace(/^\uFEFF/, "").replace(/^#!.*(?:\n|$)/, "");
  const lines = body.split("\n").map((line) => line.replace(/\r$/, ""));
  for (const prefix of ["#", "//"]) {
    for (const line of lines) {
      if (!line.startsWith(prefix)) break;
      const match = DIRECTIVE.exec(`#${line.slice(prefix.length)}`);
      const name = match?.[1]?.toLowerCase();
      if (!match || !name || !KNOWN.has(name)) break;
      if (name === "syntax") return match[2]!.split(" ")[0];
    }
  }
  if (!/^\s*\{/.test(body)) return undefined;
  try {
    const parsed: unknown = JSON.parse(body);
    const value = (parsed as { syntax?: unknown }).syntax;
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
