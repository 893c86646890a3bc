/** What an automaton does at a place: take a character and go on, go on at several, look where it is, or have matched. */
export type Instruction =
  | { kind: "char"; takes: (code: number) => boolean }
  | { kind: "fork"; to: number[] }
  | { kind: "start" | "end" | "match" };

type Takes = (code: number) => boolean;
type Node =
  | { kind: "char"; takes: Takes }
  | { kind: "start" | "end" }
  | { kind: "all" | "any"; nodes: Node[] }
  | { kind: "repeat"; node: Node; least: number; most: number };

interface Flags {
  ignoreCase?: boolean | undefined;
  dotAll?: boolean | undefined;
}

const MAX_INSTRUCTIONS = 10_000;
const MAX_REPEATS = 1000;
const MAX_DEPTH = 200;

const between =
  (low: number, high: number): Takes =>
  (code) =>
    code >= low && code <= high;
const not =
  (takes: Takes): Takes =>
  (code) =>
    !takes(code);
const any =
  (all: Takes[]): Takes =>
  (code) =>
    all.some((takes) => takes(code));

const DIGIT = between(48, 57);
const WORD = any([DIGIT, between(65, 90), between(97, 122), between(95, 95)]);
const SPACE = any([between(9, 10), between(12, 13), between(32, 32)]);
const CLASSES: Record<string, Takes> = { d: DIGIT, w: WORD, s: SPACE, D: not(DIGIT), W: not(WORD), S: not(SPACE) };
const NAMED: Record<string, Takes> = {
  alnum: any([DIGIT, between(65, 90), between(97, 122)]),
  alpha: any([between(65, 90), between(97, 122)]),
  digit: DIGIT,
  lower: between(97, 122),
  space: between(9, 13),
  upper: between(65, 90),
  word: WORD,
};
const CONTROLS: Record<string, number> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** The automaton of a pattern; the last instruction is the match. Throws an Error where the text is no pattern. */
export function parsePattern(source: string, flags: Flags): Instruction[] {
  const node = new Parser([...source], flags).parse();
  const program: Instruction[] = [];
  emit(node, program);
  program.push({ kind: "match" });
  return program;
}

class Parser {
  private at = 0;
  private depth = 0;
  constructor(
    private readonly chars: string[],
    private flags: Flags,
  ) {}

  parse(): Node {
    const node = this.alternatives();
    if (this.at < this.chars.length) throw this.wrong("unexpected )");
    return node;
  }

  private wrong(what: string): Error {
    return new Error(`error parsing regexp: ${what}: \`${this.chars.join("")}\``);
  }

  private eat(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.chars[this.at + i] !== text[i]) return false;
    this.at += text.length;
    return true;
  }

  private alternatives(): Node {
    if (++this.depth > MAX_DEPTH) throw this.wrong("expression nests too deeply");
    const nodes = [this.sequence()];
    while (this.eat("|")) nodes.push(this.sequence());
    this.depth--;
    return nodes.length === 1 ? (nodes[0] as Node) : { kind: "any", nodes };
  }

  private sequence(): Node {
    const nodes: Node[] = [];
    while (this.at < this.chars.length && this.chars[this.at] !== "|" && this.chars[this.at] !== ")") {
      nodes.push(this.repeated());
    }
    return { kind: "all", nodes };
  }

  private repeated(): Node {
    const node = this.atom();
    const bounds = this.bounds();
    if (bounds === null) return node;
    // What is taken first is no matter here: whether it matches is.
    this.eat("?");
    if (this.bounds() !== null) throw this.wrong("invalid nested repetition operator");
    return { kind: "repeat", node, ...bounds };
  }

  private bounds(): { least: number; most: number } | null {
    if (this.eat("*")) return { least: 0, most: Number.POSITIVE_INFINITY };
    if (this.eat("+")) return { least: 1, most: Number.POSITIVE_INFINITY };
    if (this.eat("?")) return { least: 0, most: 1 };
    if (this.chars[this.at] !== "{") return null;
    const found = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.chars.slice(this.at, this.at + 12).join(""));
    // As in Go, a brace that begins no count is a brace.
    if (found === null) return null;
    const least = Number(found[1]);
    const most = found[2] === undefined ? least : found[3] === "" ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (least > MAX_REPEATS || (most !== Number.POSITIVE_INFINITY && most > MAX_REPEATS) || most < least) {
      throw this.wrong("invalid repeat count");
    }
    this.at += found[0].length;
    return { least, most };
  }

  private atom(): Node {
    const char = this.chars[this.at++] as string;
    switch (char) {
      case "(":
        return this.group();
      case "[":
        return this.char(this.set());
      case ".":
        return this.char(this.flags.dotAll ? () => true : (code) => code !== 10);
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case "*":
      case "+":
      case "?":
        throw this.wrong("missing argument to repetition operator");
      case "\\":
        if (this.eat("A")) return { kind: "start" };
        if (this.eat("z")) return { kind: "end" };
        return this.char(this.escape());
      default:
        return this.char(this.same(char.codePointAt(0) as number));
    }
  }

  private char(takes: Takes): Node {
    return { kind: "char", takes };
  }

  private same(code: number): Takes {
    if (!this.flags.ignoreCase) return between(code, code);
    return this.folded(between(code, code));
  }

  /** Takes a character where it takes it in either case. */
  private folded(takes: Takes): Takes {
    return (code) => {
      const char = String.fromCodePoint(code);
      return (
        takes(code) || [char.toLowerCase(), char.toUpperCase()].some((other) => takes(other.codePointAt(0) as number))
      );
    };
  }

  private group(): Node {
    const before = this.flags;
    if (this.eat("?")) {
      const found = /^(P?<\w{1,50}>|([ims]{0,4})(?:-([ims]{1,4}))?(:|\)))/.exec(
        this.chars.slice(this.at, this.at + 60).join(""),
      );
      if (found === null) throw this.wrong("invalid or unsupported Perl syntax");
      this.at += found[0].length;
      const [, , on = "", off = "", end] = found;
      const is = (flag: string, was: boolean | undefined) => (on.includes(flag) || was === true) && !off.includes(flag);
      this.flags = { ignoreCase: is("i", before.ignoreCase), dotAll: is("s", before.dotAll) };
      // Flags for the rest of the group around.
      if (end === ")") return { kind: "all", nodes: [] };
    }
    const node = this.alternatives();
    if (!this.eat(")")) throw this.wrong("missing closing )");
    this.flags = before;
    return node;
  }

  /** What is after a backslash: a class, or a character. */
  private escape(): Takes {
    const char = this.chars[this.at];
    const known = char === undefined ? undefined : CLASSES[char];
    if (known !== undefined && Object.hasOwn(CLASSES, char as string)) {
      this.at++;
      return known;
    }
    return this.same(this.escaped());
  }

  private escaped(): number {
    const char = this.chars[this.at++];
    if (char === undefined) throw this.wrong("trailing backslash at end of expression");
    if (Object.hasOwn(CONTROLS, char)) return CONTROLS[char] as number;
    if (char === "x" || char === "u") {
      const found = /^(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})/.exec(
        this.chars.slice(this.at, this.at + 8).join(""),
      );
      if (found === null) throw this.wrong("invalid escape sequence");
      this.at += found[0].length;
      return Number.parseInt((found[1] ?? found[2]) as string, 16);
    }
    if (/[0-9A-Za-z]/.test(char)) throw this.wrong(`invalid escape sequence \\${char}`);
    return char.codePointAt(0) as number;
  }

  /** What is between brackets. */
  private set(): Takes {
    const negated = this.eat("^");
    const all: Takes[] = [];
    for (let first = true; first || this.chars[this.at] !== "]"; first = false) {
      if (this.at >= this.chars.length) throw this.wrong("missing closing ]");
      const named = /^\[:(\^?)(\w{1,8}):\]/.exec(this.chars.slice(this.at, this.at + 14).join(""));
      if (named !== null && Object.hasOwn(NAMED, named[2] as string)) {
        this.at += named[0].length;
        const takes = NAMED[named[2] as string] as Takes;
        all.push(named[1] ? not(takes) : takes);
        continue;
      }
      if (this.chars[this.at] === "\\" && Object.hasOwn(CLASSES, this.chars[this.at + 1] ?? "")) {
        all.push(CLASSES[this.chars[this.at + 1] as string] as Takes);
        this.at += 2;
        continue;
      }
      const low = this.member();
      if (this.chars[this.at] === "-" && this.chars[this.at + 1] !== "]" && this.at + 1 < this.chars.length) {
        this.at++;
        const high = this.member();
        if (high < low) throw this.wrong("invalid character class range");
        all.push(between(low, high));
      } else all.push(between(low, low));
    }
    this.at++;
    const takes = this.flags.ignoreCase ? this.folded(any(all)) : any(all);
    return negated ? not(takes) : takes;
  }

  private member(): number {
    if (this.eat("\\")) return this.escaped();
    const char = this.chars[this.at++];
    if (char === undefined) throw this.wrong("missing closing ]");
    return char.codePointAt(0) as number;
  }
}

function emit(node: Node, program: Instruction[]): void {
  if (program.length > MAX_INSTRUCTIONS) throw new Error("error parsing regexp: expression too large");
  switch (node.kind) {
    case "all":
      for (const part of node.nodes) emit(part, program);
      return;
    case "any": {
      const fork = { kind: "fork" as const, to: [] as number[] };
      const ends: { to: number[] }[] = [];
      program.push(fork);
      for (const part of node.nodes) {
        fork.to.push(program.length);
        emit(part, program);
        const end = { kind: "fork" as const, to: [] as number[] };
        program.push(end);
        ends.push(end);
      }
      for (const end of ends) end.to.push(program.length);
      return;
    }
    case "repeat":
      emitRepeat(node, program);
      return;
    default:
      program.push(node);
  }
}

function emitRepeat({ node, least, most }: Node & { kind: "repeat" }, program: Instruction[]): void {
  for (let i = 0; i < least; i++) emit(node, program);
  if (most === Number.POSITIVE_INFINITY) {
    const at = program.length;
    const fork = { kind: "fork" as const, to: [at + 1] };
    program.push(fork);
    emit(node, program);
    program.push({ kind: "fork", to: [at] });
    fork.to.push(program.length);
    return;
  }
  const forks: { to: number[] }[] = [];
  for (let i = least; i < most; i++) {
    const fork = { kind: "fork" as const, to: [program.length + 1] };
    program.push(fork);
    forks.push(fork);
    emit(node, program);
  }
  for (const fork of forks) fork.to.push(program.length);
}
