/** A parsed Go template: the subset of text/template that Docker's `--format` uses. */
export type Part =
  | { kind: "text"; text: string }
  | { kind: "action"; pipe: Pipe }
  | { kind: "if"; branches: { pipe: Pipe; body: Part[] }[]; otherwise?: Part[] }
  | { kind: "range"; pipe: Pipe; body: Part[]; otherwise?: Part[] }
  | { kind: "with"; branches: { pipe: Pipe; body: Part[] }[]; otherwise?: Part[] }
  | { kind: "break" }
  | { kind: "continue" };

/** Commands whose results go on as the last argument of the next; variables that are set to the outcome. */
export interface Pipe {
  declare: string[];
  assign: boolean;
  commands: Operand[][];
}

export type Operand =
  | { kind: "literal"; value: string | number | boolean | null }
  | { kind: "dot" }
  | { kind: "field"; path: string[]; at: string; pos: string }
  | { kind: "variable"; name: string; path: string[]; at: string; pos: string }
  | { kind: "call"; name: string; at: string; pos: string }
  | { kind: "pipe"; pipe: Pipe; path: string[]; at: string; pos: string };

/** A template cannot be read. */
export class TemplateError extends Error {}

interface Token {
  kind: "number" | "string" | "word" | "field" | "variable" | "punctuation" | "space";
  text: string;
  at: number;
}

const MAX_DEPTH = 100;

/** Reads a template. Throws TemplateError with Go's words. */
export function parseTemplate(source: string): Part[] {
  const reader = new Reader(source);
  const { parts, stop } = reader.list(0);
  if (stop) throw reader.error(`unexpected {{${stop.word}}}`);
  return parts;
}

interface Stop {
  word: string;
  tokens: Tokens;
}

class Reader {
  #source: string;
  #at = 0;
  constructor(source: string) {
    this.#source = source;
  }

  error(message: string): TemplateError {
    const line = this.#source.slice(0, this.#at).split("\n").length;
    return new TemplateError(`template: :${line}: ${message}`);
  }

  /** Line and column of an offset, as Go's messages have them. */
  position(at: number): string {
    const before = this.#source.slice(0, at);
    const line = before.split("\n").length;
    return `${line}:${at - before.lastIndexOf("\n") - 1}`;
  }

  list(depth: number): { parts: Part[]; stop?: Stop } {
    if (depth > MAX_DEPTH) throw this.error("template is nested too deeply");
    const parts: Part[] = [];
    for (;;) {
      const open = this.#source.indexOf("{{", this.#at);
      let text = open < 0 ? this.#source.slice(this.#at) : this.#source.slice(this.#at, open);
      if (open >= 0 && /^-\s/.test(this.#source.slice(open + 2, open + 4))) text = text.replace(/[ \t\r\n]+$/, "");
      if (text) parts.push({ kind: "text", text });
      if (open < 0) {
        this.#at = this.#source.length;
        return { parts };
      }
      this.#at = open + 2;
      const action = this.#action();
      if (action === undefined) continue;
      const tokens = new Tokens(this, action);
      const word = tokens.keyword();
      if (word === "end" || word === "else") return { parts, stop: { word, tokens } };
      parts.push(this.#part(word, tokens, depth));
    }
  }

  #part(word: string | undefined, tokens: Tokens, depth: number): Part {
    if (word === "if" || word === "with") {
      const branches: { pipe: Pipe; body: Part[] }[] = [];
      let pipe = tokens.pipe(word);
      for (;;) {
        const { parts, stop } = this.list(depth + 1);
        if (!stop) throw this.error("unexpected EOF");
        branches.push({ pipe, body: parts });
        if (stop.word === "end") return { kind: word, branches };
        if (stop.tokens.keyword() === word) {
          pipe = stop.tokens.pipe(word);
          continue;
        }
        return { kind: word, branches, otherwise: this.#untilEnd(depth) };
      }
    }
    if (word === "range") {
      const pipe = tokens.pipe(word);
      const { parts, stop } = this.list(depth + 1);
      if (!stop) throw this.error("unexpected EOF");
      if (stop.word === "end") return { kind: "range", pipe, body: parts };
      return { kind: "range", pipe, body: parts, otherwise: this.#untilEnd(depth) };
    }
    if (word === "break" || word === "continue") return { kind: word };
    if (word === "define" || word === "template" || word === "block")
      throw this.error(`unexpected <${word}> in command`);
    return { kind: "action", pipe: tokens.pipe("command") };
  }

  #untilEnd(depth: number): Part[] {
    const { parts, stop } = this.list(depth + 1);
    if (!stop) throw this.error("unexpected EOF");
    if (stop.word !== "end") throw this.error("expected end; found {{else}}");
    return parts;
  }

  /** The tokens up to the closing braces; undefined for a comment. */
  #action(): Token[] | undefined {
    const source = this.#source;
    if (/^-\s/.test(source.slice(this.#at, this.#at + 2))) this.#at++;
    const comment = /^\s*\/\*/.exec(source.slice(this.#at));
    if (comment) {
      const end = source.indexOf("*/", this.#at);
      if (end < 0) throw this.error("unclosed comment");
      this.#at = end + 2;
      this.#close();
      return undefined;
    }
    const tokens: Token[] = [];
    for (;;) {
      if (this.#close()) return tokens;
      if (this.#at >= source.length) throw this.error("unclosed action");
      tokens.push(this.#token());
    }
  }

  #close(): boolean {
    const match = /^(\s+-)?\}\}/.exec(this.#source.slice(this.#at, this.#at + 64));
    if (!match) return false;
    this.#at += match[0].length;
    if (match[1]) this.#at += /^[ \t\r\n]*/.exec(this.#source.slice(this.#at))![0].length;
    return true;
  }

  #token(): Token {
    const at = this.#at;
    const rest = this.#source.slice(at);
    for (const [kind, pattern] of PATTERNS) {
      const match = pattern.exec(rest);
      if (!match) continue;
      this.#at += match[0].length;
      return { kind, text: match[0], at };
    }
    if (/^["`']/.test(rest))
      throw this.error(rest[0] === "`" ? "unterminated raw quoted string" : "unterminated quoted string");
    throw this.error(`unexpected ${JSON.stringify(rest[0])} in command`);
  }
}

const PATTERNS: [Token["kind"], RegExp][] = [
  ["space", /^\s+/],
  ["string", /^"(?:[^"\\\n]|\\.)*"|^`[^`]*`|^'(?:[^'\\\n]|\\.)+'/],
  ["number", /^[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/],
  ["field", /^\.[\p{L}_][\p{L}\p{N}_]*/u],
  ["variable", /^\$[\p{L}\p{N}_]*/u],
  ["word", /^[\p{L}_][\p{L}\p{N}_]*/u],
  ["punctuation", /^:=|^[=|(),.]/],
];

class Tokens {
  #reader: Reader;
  #tokens: Token[];
  #next = 0;
  constructor(reader: Reader, tokens: Token[]) {
    this.#reader = reader;
    this.#tokens = tokens;
  }

  keyword(): string | undefined {
    this.#space();
    const token = this.#tokens[this.#next];
    if (token?.kind !== "word" || !KEYWORDS.has(token.text)) return undefined;
    this.#next++;
    return token.text;
  }

  pipe(where: string, closing = false, depth = 0): Pipe {
    if (depth > MAX_DEPTH) throw this.#reader.error("template is nested too deeply");
    const { declare, assign } = this.#declaration();
    const commands: Operand[][] = [];
    let command: Operand[] = [];
    for (;;) {
      this.#space();
      const token = this.#tokens[this.#next];
      if (!token || (token.text === ")" && token.kind === "punctuation")) {
        if (token && !closing) throw this.#reader.error("unexpected right paren");
        if (!token && closing) throw this.#reader.error("unclosed left paren");
        if (token) this.#next++;
        if (command.length > 0) commands.push(command);
        if (commands.length === 0 || command.length === 0) throw this.#reader.error(`missing value for ${where}`);
        return { declare, assign, commands };
      }
      if (token.kind === "punctuation" && token.text === "|") {
        this.#next++;
        if (command.length === 0) throw this.#reader.error(`missing value for ${where}`);
        commands.push(command);
        command = [];
        continue;
      }
      command.push(this.#operand(depth));
    }
  }

  #declaration(): { declare: string[]; assign: boolean } {
    const start = this.#next;
    const declare: string[] = [];
    for (;;) {
      this.#space();
      const token = this.#tokens[this.#next];
      if (token?.kind !== "variable") break;
      this.#next++;
      declare.push(token.text);
      this.#space();
      const mark = this.#tokens[this.#next]?.text;
      if (mark === ":=" || mark === "=") {
        this.#next++;
        return { declare, assign: mark === "=" };
      }
      if (mark !== ",") break;
      this.#next++;
    }
    this.#next = start;
    return { declare: [], assign: false };
  }

  #operand(depth: number): Operand {
    const token = this.#tokens[this.#next++]!;
    switch (token.kind) {
      case "string":
        return { kind: "literal", value: unquote(token.text, this.#reader) };
      case "number":
        return { kind: "literal", value: Number(token.text) };
      case "field": {
        // Go tells the place of a chain by its second link.
        const pos = this.#reader.position(this.#chainStart() ?? token.at);
        const path = [token.text.slice(1), ...this.#fields()];
        return { kind: "field", path, at: path.map((name) => `.${name}`).join(""), pos };
      }
      case "variable": {
        const pos = this.#reader.position(this.#chainStart() ?? token.at);
        const path = this.#fields();
        return {
          kind: "variable",
          name: token.text,
          path,
          at: token.text + path.map((name) => `.${name}`).join(""),
          pos,
        };
      }
      case "word":
        if (token.text === "true" || token.text === "false") return { kind: "literal", value: token.text === "true" };
        if (token.text === "nil") return { kind: "literal", value: null };
        return { kind: "call", name: token.text, at: token.text, pos: this.#reader.position(token.at) };
      case "punctuation":
        if (token.text === ".") return { kind: "dot" };
        if (token.text === "(") {
          const pipe = this.pipe("parenthesized pipeline", true, depth + 1);
          const path = this.#fields();
          return {
            kind: "pipe",
            pipe,
            path,
            at: path.map((name) => `.${name}`).join(""),
            pos: this.#reader.position(token.at),
          };
        }
    }
    throw this.#reader.error(`unexpected ${JSON.stringify(token.text)} in operand`);
  }

  #chainStart(): number | undefined {
    const next = this.#tokens[this.#next];
    return next?.kind === "field" ? next.at : undefined;
  }

  #fields(): string[] {
    const path: string[] = [];
    while (this.#tokens[this.#next]?.kind === "field") path.push(this.#tokens[this.#next++]!.text.slice(1));
    return path;
  }

  #space(): void {
    while (this.#tokens[this.#next]?.kind === "space") this.#next++;
  }
}

const KEYWORDS = new Set(["if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"]);

function unquote(text: string, reader: Reader): string | number {
  if (text.startsWith("`")) return text.slice(1, -1);
  const body = text.slice(1, -1).replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-7]{3}|.)/g, (_, code: string) => {
    if (/^[ux]/.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]{3}$/.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
    const plain = ESCAPES[code];
    if (plain === undefined) throw reader.error(`invalid syntax`);
    return plain;
  });
  return text.startsWith("'") ? body.codePointAt(0)! : body;
}

const ESCAPES: Record<string, string> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};
