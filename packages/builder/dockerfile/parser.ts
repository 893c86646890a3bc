import { GantryError, invalidParameter } from "@gantry/spec";
import { DirectiveReader, type Directives } from "./directives.ts";
import { type Heredoc, heredocsOf } from "./heredoc.ts";
import { jsonStrings, splitBlanks, splitFlags, splitWords } from "./words.ts";

/** A key and its value as ENV and LABEL take them; quotes still in both. `delimited` is false for `ENV key value`. */
export interface KeyValue {
  key: string;
  value: string;
  delimited: boolean;
}

/** One instruction as written: its words are split, nothing is expanded or checked yet. */
export interface Node {
  /** The instruction's name as written. */
  name: string;
  /** The logical line, continuation lines joined. */
  original: string;
  flags: string[];
  args: string[];
  /** Whether the arguments came from a JSON array. */
  json: boolean;
  /** ENV's and LABEL's pairs. */
  pairs: KeyValue[];
  heredocs: Heredoc[];
  /** ONBUILD's instruction. */
  child?: Node;
  /** First and last line in the file, from 1. */
  startLine: number;
  endLine: number;
}

export interface ParsedFile {
  directives: Directives;
  nodes: Node[];
  warnings: string[];
}

/** bufio.Scanner's limit in Docker's parser. */
const MAX_LINE = 65535;
const TAKES_HEREDOC = new Set(["add", "copy", "run"]);

/**
 * Splits a Dockerfile into instructions. Throws invalidParameter with Docker's words for what no line may look like;
 * unknown instructions are left to `parseInstructions`.
 */
export function parseFile(text: string): ParsedFile {
  const lines = new Lines(text);
  const reader = new DirectiveReader();
  const nodes: Node[] = [];
  const warnings: string[] = [];

  for (let raw = lines.next(); raw !== null; raw = lines.next()) {
    const trimmed = chop(raw).trimStart();
    reader.take(trimmed);
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const escapeChar = reader.directives.escape;
    const startLine = lines.number;
    let { line, goesOn } = continued(trimmed, escapeChar);
    let emptyLine = false;
    while (goesOn) {
      const more = lines.next();
      if (more === null) break;
      const body = chop(more);
      if (body.trim() === "") {
        emptyLine = true;
        continue;
      }
      if (body.trimStart().startsWith("#")) continue;
      const next = continued(body, escapeChar);
      line += next.line;
      goesOn = next.goesOn;
    }
    if (emptyLine) warnings.push(`Empty continuation line found in: ${line}`);
    const node = parseLine(line, escapeChar, startLine);
    if (takesHeredoc(node)) {
      node.heredocs = heredocsOf(line);
      for (const heredoc of node.heredocs) heredoc.content = lines.heredoc(heredoc);
    }
    node.endLine = lines.number;
    nodes.push(node);
  }
  if (nodes.length === 0) throw invalidParameter("file with no instructions");
  return { directives: reader.directives, nodes, warnings };
}

class Lines {
  number = 0;
  private readonly lines: string[];
  constructor(text: string) {
    this.lines = text.replace(/^\uFEFF/, "").split(/(?<=\n)/);
    if (this.lines.at(-1) === "") this.lines.pop();
  }
  next(): string | null {
    const line = this.lines[this.number];
    if (line === undefined) return null;
    if (line.length > MAX_LINE) {
      throw invalidParameter(`dockerfile line greater than max allowed size of ${MAX_LINE}`);
    }
    this.number++;
    return line;
  }
  /** The body up to the terminator's line, which is taken, too. */
  heredoc(heredoc: Heredoc): string {
    let body = "";
    for (let line = this.next(); line !== null; line = this.next()) {
      const bare = chop(line);
      if ((heredoc.chomp ? bare.replace(/^\t+/, "") : bare) === heredoc.name) return body;
      body += line;
    }
    throw invalidParameter("unterminated heredoc");
  }
}

function chop(line: string): string {
  return line.replace(/[\r\n]+$/, "");
}

/** Takes the continuation character off a line; an escaped one (`\\`) does not continue it. */
function continued(line: string, escapeChar: string): { line: string; goesOn: boolean } {
  const bare = line.replace(/[ \t]+$/, "");
  if (!bare.endsWith(escapeChar) || bare.at(-2) === escapeChar) return { line, goesOn: false };
  return { line: bare.slice(0, -1), goesOn: true };
}

function takesHeredoc(node: Node): boolean {
  const target = node.name.toLowerCase() === "onbuild" ? node.child : node;
  return target !== undefined && TAKES_HEREDOC.has(target.name.toLowerCase()) && !target.json;
}

/** Parses one logical line. */
function parseLine(line: string, escapeChar: string, startLine: number): Node {
  const trimmed = line.trim();
  const space = trimmed.search(/[\t\v\f\r ]/);
  const name = space < 0 ? trimmed : trimmed.slice(0, space);
  const { flags, rest } = splitFlags(space < 0 ? "" : trimmed.slice(space + 1), escapeChar);
  const node: Node = {
    name,
    original: line,
    flags,
    args: [],
    json: false,
    pairs: [],
    heredocs: [],
    startLine,
    endLine: startLine,
  };
  const jsonOr = (text: string, otherwise: string[]) => {
    const strings = jsonStrings(text);
    node.json = strings !== null;
    return strings ?? otherwise;
  };
  switch (name.toLowerCase()) {
    case "add":
    case "copy":
    case "volume":
      node.args = jsonOr(rest, splitBlanks(rest));
      break;
    case "cmd":
    case "entrypoint":
    case "run":
    case "shell":
      node.args = jsonOr(rest, rest === "" ? [] : [rest]);
      break;
    case "healthcheck": {
      const match = /^(\S+)\s*([\s\S]*)$/.exec(rest);
      if (match) node.args = [match[1]!, ...jsonOr(match[2]!, match[2] === "" ? [] : [match[2]!])];
      break;
    }
    case "env":
    case "label":
      node.pairs = parsePairs(rest, name.toUpperCase(), escapeChar);
      break;
    case "arg":
      node.args = splitWords(rest, escapeChar);
      break;
    case "expose":
    case "from":
      node.args = splitBlanks(rest);
      break;
    case "onbuild":
      if (rest !== "") {
        node.child = parseLine(rest, escapeChar, startLine);
        node.args = [node.child.name, ...node.child.args];
      }
      break;
    case "maintainer":
    case "stopsignal":
    case "user":
    case "workdir":
      node.args = rest === "" ? [] : [rest];
      break;
  }
  return node;
}

function parsePairs(rest: string, name: string, escapeChar: string): KeyValue[] {
  const words = splitWords(rest, escapeChar);
  const first = words[0];
  if (first === undefined) return [];
  if (!first.includes("=")) {
    const match = /^([^\t\v\f\r ]*)[\t\v\f\r ]+([\s\S]*)$/.exec(rest);
    if (!match) throw invalidParameter(`${name} must have two arguments`);
    return [{ key: match[1]!, value: match[2]!, delimited: false }];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0) {
      throw invalidParameter(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    }
    return { key: word.slice(0, equals), value: word.slice(equals + 1), delimited: true };
  });
}

/** Docker's classic builder says which file could not be parsed. */
export function parseNamedFile(text: string, name: string): ParsedFile {
  if (text === "") throw invalidParameter(`the Dockerfile (${name}) cannot be empty`);
  try {
    return parseFile(text);
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    throw new GantryError(error.kind, `failed to parse ${name}: ${error.message}`, { cause: error });
  }
}
