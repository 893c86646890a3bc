import { hostname } from "node:os";
import { systemError } from "@gantry/spec";
import { extraAttributes, type LogInfo } from "./info.ts";

/**
 * The option `tag`, a Go template over the container: fields and methods of Docker's log info, its template functions,
 * pipelines, parentheses, literals, `if` and `with` with `else`, comments and trimmed blanks. No loops or variables.
 * Throws systemError in Go's words.
 *
 * @param fallback the template where none was given
 */
export function logTag(info: LogInfo, fallback = "{{.ID}}"): string {
  const source = info.config["tag"] || fallback;
  const parser = new Parser(source);
  const nodes = parser.list(false);
  return execute(nodes, fieldsOf(info));
}

type Value = unknown;
type Node =
  | { type: "text"; text: string }
  | { type: "action"; pipe: Command[] }
  | { type: "branch"; rebind: boolean; pipe: Command[]; then: Node[]; otherwise: Node[] };
type Command = Operand[];
type Operand = { fields: string[] } & (
  | { type: "dot"; column: number }
  | { type: "literal"; value: Value }
  | { type: "name"; name: string; column: number }
  | { type: "group"; pipe: Command[] }
);

const fail = (line: number, why: string) => systemError(`template: log-tag:${line}: ${why}`);

/** Fields are values; methods with arguments are functions. */
function fieldsOf(info: LogInfo): Record<string, Value> {
  return {
    ID: info.containerId.slice(0, 12),
    FullID: info.containerId,
    Name: info.containerName.slice(1),
    ImageID: info.imageId.slice(0, 12),
    ImageFullID: info.imageId,
    ImageName: info.imageName,
    // Not Docker's by that name, but in use.
    ImageFullName: info.imageName,
    DaemonName: "docker",
    Command: info.command,
    Hostname: hostname(),
    Config: info.config,
    ContainerID: info.containerId,
    ContainerName: info.containerName,
    ContainerImageID: info.imageId,
    ContainerImageName: info.imageName,
    ContainerCreated: info.created,
    ContainerEnv: info.env,
    ContainerLabels: info.labels,
    ExtraAttributes: () => extraAttributes(info),
  };
}

const text = (value: Value): string => {
  if (value === undefined || value === null) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(text).join(" ")}]`;
  if (typeof value !== "object") return String(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, item]) => `${key}:${text(item)}`).join(" ")}]`;
};
const truth = (value: Value): boolean =>
  value !== null && typeof value === "object" ? Object.keys(value).length > 0 : Boolean(value);

const FUNCTIONS: Record<string, (...args: Value[]) => Value> = {
  json: (value) => JSON.stringify(value),
  split: (value, by) => text(value).split(text(by)),
  join: (list, by) => (list as Value[]).map(text).join(text(by)),
  title: (value) =>
    text(value).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_, before, letter) => before + letter.toUpperCase()),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  pad: (value, before, after) =>
    text(value) === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: (value, length) => text(value).slice(0, Number(length)),
  index: (of, ...keys) => keys.reduce((value, key) => (value as Record<string, Value>)?.[text(key)] ?? "", of),
  len: (value) => (typeof value === "string" ? Buffer.byteLength(value) : Object.keys(value as object).length),
  print: (...args) => args.map(text).join(""),
  printf: (format, ...args) => {
    let next = 0;
    return text(format).replace(/%([svdq%])/g, (_, verb) => {
      if (verb === "%") return "%";
      const value = text(args[next++]);
      return verb === "q" ? JSON.stringify(value) : value;
    });
  },
  not: (value) => !truth(value),
  and: (...args) => args.find((value) => !truth(value)) ?? args.at(-1),
  or: (...args) => args.find(truth) ?? args.at(-1),
  eq: (value, ...others) => others.some((other) => text(other) === text(value)),
  ne: (value, other) => text(value) !== text(other),
};

class Parser {
  private at = 0;
  constructor(private readonly source: string) {}

  /** Up to the end, or (`inner`) to `end` or `else`, which is left in `stop`. */
  private stop = "";
  list(inner: boolean): Node[] {
    const nodes: Node[] = [];
    for (;;) {
      const open = this.source.indexOf("{{", this.at);
      let plain = this.source.slice(this.at, open < 0 ? undefined : open);
      if (open >= 0 && /^\{\{-\s/.test(this.source.slice(open, open + 4))) plain = plain.trimEnd();
      if (plain !== "") nodes.push({ type: "text", text: plain });
      if (open < 0) {
        this.at = this.source.length;
        if (inner) throw fail(this.line(this.at), "unexpected EOF");
        return nodes;
      }
      const action = this.action(open);
      const word = /^(if|with|else|end)\b/.exec(action.body.trimStart())?.[1];
      if (word === "end" || word === "else") {
        if (!inner) throw fail(this.line(open), `unexpected {{${word}}}`);
        this.stop = word;
        return nodes;
      }
      if (word !== undefined) {
        const skip = action.body.indexOf(word) + word.length;
        const pipe = this.pipe(action.body.slice(skip), action.column + skip);
        const then = this.list(true);
        const otherwise = this.stop === "else" ? this.list(true) : [];
        nodes.push({ type: "branch", rebind: word === "with", pipe, then, otherwise });
      } else if (!/^\/\*[\s\S]*\*\/$/.test(action.body.trim())) {
        nodes.push({ type: "action", pipe: this.pipe(action.body, action.column) });
      }
    }
  }

  private line(offset: number): number {
    return this.source.slice(0, offset).split("\n").length;
  }

  private action(open: number): { body: string; column: number } {
    // A quoted text may have the closing braces in it.
    const match = /^\{\{(-(?=\s))?((?:"(?:[^"\\\n]|\\.)*"|`[^`]*`|[^"`])*?)((?<=\s)-)?\}\}/.exec(
      this.source.slice(open),
    );
    if (match === null) throw fail(this.line(open), "unclosed action");
    this.at = open + match[0].length;
    if (match[3] !== undefined) this.at += /^\s*/.exec(this.source.slice(this.at))?.[0].length ?? 0;
    return { body: match[2] as string, column: open + 2 + (match[1]?.length ?? 0) };
  }

  private pipe(body: string, column: number): Command[] {
    const token = /\s*(?:("(?:[^"\\]|\\.)*")|`([^`]*)`|(-?\d+(?:\.\d+)?)|(\.?[\p{L}_][\p{L}\p{N}_]*)|([.()|]))/uy;
    const line = this.line(this.at);
    const stack: Command[][] = [[[]]];
    const push = (operand: Operand) => stack.at(-1)?.at(-1)?.push(operand);
    let end = 0;
    while (body.slice(end).trim() !== "") {
      token.lastIndex = end;
      const match = token.exec(body);
      if (match === null) throw fail(line, `unexpected ${JSON.stringify(body.slice(end).trim()[0])} in command`);
      const glued = end > 0 && match[0] === match[0].trimStart() && /[\p{L}\p{N}_)]/u.test(body[end - 1] as string);
      const at = column + token.lastIndex - match[0].trimStart().length;
      end = token.lastIndex;
      const [, quoted, raw, number, name, sign] = match;
      if (quoted !== undefined) push({ type: "literal", value: JSON.parse(quoted), fields: [] });
      else if (raw !== undefined) push({ type: "literal", value: raw, fields: [] });
      else if (number !== undefined) push({ type: "literal", value: Number(number), fields: [] });
      else if (name?.startsWith(".")) {
        const last = stack.at(-1)?.at(-1)?.at(-1);
        if (glued && last !== undefined) last.fields.push(name.slice(1));
        else push({ type: "dot", column: at, fields: [name.slice(1)] });
      } else if (name !== undefined) push(this.word(name, at, line));
      else if (sign === ".") push({ type: "dot", column: at, fields: [] });
      else if (sign === "|") stack.at(-1)?.push([]);
      else if (sign === "(") stack.push([[]]);
      else {
        const pipe = stack.pop() as Command[];
        if (stack.length === 0) throw fail(line, 'unexpected ")" in command');
        push({ type: "group", pipe, fields: [] });
      }
    }
    if (stack.length > 1) throw fail(line, "unclosed left paren");
    const pipe = stack[0] as Command[];
    if (pipe.some((command) => command.length === 0)) throw fail(line, "missing value for command");
    return pipe;
  }

  private word(name: string, column: number, line: number): Operand {
    if (name === "nil" || name === "true" || name === "false")
      return { type: "literal", value: name === "nil" ? null : name === "true", fields: [] };
    if (!Object.hasOwn(FUNCTIONS, name)) throw fail(line, `function ${JSON.stringify(name)} not defined`);
    return { type: "name", name, column, fields: [] };
  }
}

function execute(nodes: Node[], root: Value): string {
  let out = "";
  const run = (list: Node[], dot: Value): void => {
    for (const node of list) {
      if (node.type === "text") out += node.text;
      else if (node.type === "action") out += text(evaluate(node.pipe, dot));
      else {
        const value = evaluate(node.pipe, dot);
        if (truth(value)) run(node.then, node.rebind ? value : dot);
        else run(node.otherwise, dot);
      }
    }
  };
  const field = (of: Value, name: string, at: { column: number; chain: string }, args: Value[]): Value => {
    if (of === root) {
      if (!Object.hasOwn(of as object, name)) throw unknownField(at, name);
      const value = (of as Record<string, Value>)[name];
      return typeof value === "function" ? value(...args) : value;
    }
    if (of === null || typeof of !== "object" || Array.isArray(of)) throw unknownField(at, name, "string");
    return Object.hasOwn(of, name) ? (of as Record<string, Value>)[name] : undefined;
  };
  const operand = (one: Operand, dot: Value, args: Value[]): Value => {
    let value: Value;
    if (one.type === "literal") value = one.value;
    else if (one.type === "group") value = evaluate(one.pipe, dot);
    else if (one.type === "name") return (FUNCTIONS[one.name] as (...args: Value[]) => Value)(...args);
    else value = dot;
    const chain = one.fields.join(".");
    // Go points at the last one.
    const before = chain.length - (one.fields.at(-1)?.length ?? 0);
    const at = { column: ("column" in one ? one.column : 0) + before, chain };
    one.fields.forEach((name, i) => {
      value = field(value, name, at, i === one.fields.length - 1 ? args : []);
    });
    return value;
  };
  const evaluate = (pipe: Command[], dot: Value): Value => {
    let previous: Value[] = [];
    for (const [first, ...rest] of pipe) {
      const args = rest.map((one) => operand(one, dot, []));
      previous = [operand(first as Operand, dot, [...args, ...previous])];
    }
    return previous[0];
  };
  run(nodes, root);
  return out;
}

function unknownField(at: { column: number; chain: string }, name: string, type = "*logger.Info"): Error {
  return systemError(
    `template: log-tag:1:${at.column}: executing "log-tag" at <.${at.chain}>: can't evaluate field ${name} in type ${type}`,
  );
}
