import { readFileSync } from "node:fs";
import { invalidParameter } from "@gantry/spec";
import { type Column, column, FORMATS } from "./top-columns.ts";

/** What ps arguments ask for. */
export interface TopRequest {
  columns: Column[];
  /** Which of the container's processes are shown; null for all. */
  pids: Set<number> | null;
  commands: Set<string> | null;
}

/** What was read of the arguments so far. */
interface Asked {
  unix: string;
  bsd: string;
  chosen: Column[];
  /** -O: between the process ID and the rest. */
  inserted: Column[];
  pids: number[] | null;
  commands: string[] | null;
  /** No line of headings, or something else than processes: nothing that could be read. */
  headless: boolean;
}

/** Options with an argument, and what ps says where there is none. Those that only select are read and not looked at. */
const ARGUMENTS: Record<string, string> = {
  C: "list of command names",
  G: "list of real groups",
  O: "format or sort specification",
  U: "list of real users",
  g: "list of session leaders OR effective group names",
  k: "long sort specification",
  o: "format specification",
  p: "list of process IDs",
  q: "list of process IDs",
  s: "list of session IDs",
  t: "list of terminals (pty, tty...)",
  u: "list of users",
};
const UNIX = { bare: "AFHLMNPTVZacdefjlmwy", valued: "CGOUgopqstu" };
const BSD = { bare: "LSTVWXZacefghjlmnrsuvwx", valued: "OUkopqt" };

/** Long options: the letter that each is short for; "" for what changes nothing here. */
const LONG: Record<string, { letter: string; valued: string }> = Object.fromEntries([
  ...["deselect", "forest", "cumulative", "headers", "heading", "headings"].map((name) => [
    name,
    { letter: "", valued: "" },
  ]),
  ...["no-headers", "no-heading", "no-headings", "noheader", "noheaders", "noheading", "noheadings"].map((name) => [
    name,
    { letter: "V", valued: "" },
  ]),
  ...["version", "help", "info"].map((name) => [name, { letter: "V", valued: "" }]),
  ["context", { letter: "Z", valued: "" }],
  ...["cols", "columns", "width"].map((name) => [
    name,
    { letter: "", valued: "number of columns must follow --cols, --width, or --columns" },
  ]),
  ...["rows", "lines"].map((name) => [name, { letter: "", valued: "number of rows must follow --rows or --lines" }]),
  ...Object.entries({
    Group: "list of real groups",
    User: "list of real users",
    group: "list of effective groups",
    user: "list of effective users",
    sid: "list of session IDs",
    sort: "long sort specification",
    tty: "list of terminals (pty, tty...)",
    ppid: "list of process IDs",
  }).map(([name, what]) => [name, { letter: "", valued: `${what} must follow --${name}` }]),
  ["format", { letter: "o", valued: "format specification must follow --format" }],
  ["pid", { letter: "p", valued: "list of process IDs must follow --pid" }],
  ["quick-pid", { letter: "p", valued: "list of process IDs must follow --quick-pid" }],
]);

/**
 * What ps arguments ask for, by ps(1) of procps: options with and without a dash, and long ones. Throws invalidParameter with ps's
 * words for what it would refuse.
 */
export function topRequest(text: string): TopRequest {
  const words = text.trim() === "" ? ["-ef"] : text.trim().split(/\s+/);
  let asked: Asked;
  try {
    asked = read(words, false);
  } catch (error) {
    // "-aux" is "aux" to ps where it means nothing else.
    try {
      asked = read(words, true);
    } catch {
      throw error;
    }
  }
  const columns = columnsOf(asked);
  if (asked.headless || !columns.some(([heading]) => heading === "PID")) {
    throw invalidParameter("Couldn't find PID field in ps output");
  }
  return {
    columns,
    pids: asked.pids === null ? null : new Set(asked.pids),
    commands: asked.commands === null ? null : new Set(asked.commands),
  };
}

function read(words: readonly string[], dashless: boolean): Asked {
  const asked: Asked = {
    unix: "",
    bsd: "",
    chosen: [],
    inserted: [],
    pids: null,
    commands: null,
    headless: false,
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const next = () => words[++i];
    if (/^--?$/.test(word)) throw refused("garbage option");
    if (word.startsWith("--")) readLong(asked, word.slice(2), next);
    else if (word.startsWith("-") && !dashless) readLetters(asked, "unix", word.slice(1), next);
    else readLetters(asked, "bsd", word.replace(/^-/, ""), next);
  }
  return asked;
}

function readLong(asked: Asked, word: string, next: () => string | undefined): void {
  const equals = word.indexOf("=");
  const name = equals < 0 ? word : word.slice(0, equals);
  const option = Object.hasOwn(LONG, name) ? LONG[name] : undefined;
  if (option === undefined) throw refused("unknown gnu long option");
  if (option.valued === "") {
    if (equals >= 0) throw refused(`option --${name} does not take an argument`);
    note(asked, "unix", option.letter);
    return;
  }
  const value = equals < 0 ? next() : word.slice(equals + 1);
  if (!value) throw refused(option.valued);
  take(asked, option.letter, value);
}

function readLetters(asked: Asked, kind: "unix" | "bsd", word: string, next: () => string | undefined): void {
  const { bare, valued } = kind === "unix" ? UNIX : BSD;
  for (let at = 0; at < word.length; at++) {
    const letter = word[at] as string;
    // Their being there says which of ps's two manners is meant.
    if (kind === "bsd" && (valued.includes(letter) || /\d/.test(letter))) asked.bsd += letter;
    if (valued.includes(letter)) {
      const value = word.slice(at + 1) || next();
      // Without a dash, `t` alone is this terminal.
      if (!value && (kind === "unix" || letter !== "t")) {
        throw refused(`${ARGUMENTS[letter]} must follow ${kind === "unix" ? "-" : ""}${letter}`);
      }
      take(asked, letter, value ?? "");
      return;
    }
    // `p1` without a dash
    if (kind === "bsd" && /\d/.test(letter)) return take(asked, "p", word.slice(at));
    if (!bare.includes(letter)) throw refused(`unsupported ${kind === "unix" ? "SysV option" : "option (BSD syntax)"}`);
    note(asked, kind, letter);
  }
}

function note(asked: Asked, kind: "unix" | "bsd", letter: string): void {
  asked[kind] += letter;
  if (letter === "V" || (kind === "bsd" && (letter === "h" || letter === "L"))) asked.headless = true;
}

function take(asked: Asked, letter: string, value: string): void {
  const items = value.split(",").filter((item) => item !== "");
  if (letter === "o") asked.chosen.push(...items.map(chosenColumn));
  else if (letter === "O") asked.inserted.push(...items.map(chosenColumn));
  else if (letter === "C") asked.commands = [...(asked.commands ?? []), ...items];
  else if (letter === "p" || letter === "q") {
    if (!items.every((item) => /^\d+$/.test(item))) throw refused("process ID list syntax error");
    asked.pids = [...(asked.pids ?? []), ...items.map(Number)];
  } else if ((letter === "u" || letter === "U") && !items.every(isUser)) throw refused("user name does not exist");
}

function isUser(name: string): boolean {
  if (/^\d+$/.test(name)) return true;
  try {
    return `\n${readFileSync("/etc/passwd", "utf8")}`.includes(`\n${name}:`);
  } catch {
    return false;
  }
}

function chosenColumn(text: string): Column {
  const [key = "", heading] = text.split("=");
  const found = column(key);
  if (found === undefined) throw refused(`unknown user-defined format specifier "${key}"`);
  return heading === undefined ? found : [heading, found[1]];
}

function columnsOf(asked: Asked): Column[] {
  if (asked.chosen.length > 0) return asked.chosen;
  if (asked.inserted.length > 0) return [...plain("pid"), ...asked.inserted, ...plain("s", "tname", "time", "args")];
  const { unix } = asked;
  if (unix.includes("y") && !unix.includes("l")) throw refused("modifier -y without format -l makes no sense");
  const columns = unix.includes("y") ? shortened(formatOf(unix, asked.bsd)) : [...formatOf(unix, asked.bsd)];
  const at = columns.findIndex(([heading]) => heading === "PID") + 1;
  if (unix.includes("L")) columns.splice(at, 0, ...plain("lwp"));
  if (unix.includes("T")) columns.splice(at, 0, ["SPID", (process) => String(process.pid)]);
  if (unix.includes("P")) columns.splice(at, 0, ...plain("psr"));
  if (unix.includes("c") && !/[lFf]/.test(unix)) columns.splice(at, 0, ...plain("cls", "pri"));
  if (/[MZ]/.test(unix) || asked.bsd.includes("Z")) columns.unshift(["LABEL", () => "-"]);
  return columns;
}

/** -y: without flags, and the resident size in the address's place. */
function shortened(columns: readonly Column[]): Column[] {
  return columns.slice(1).map((entry) => (entry[0] === "ADDR" ? (column("rss") as Column) : entry));
}

const plain = (...keywords: string[]) => keywords.map((keyword) => column(keyword) as Column);

function formatOf(unix: string, bsd: string): Column[] {
  if (unix.includes("F")) return FORMATS.extraFull;
  if (unix.includes("l")) return unix.includes("f") ? FORMATS.fullLong : FORMATS.long;
  if (unix.includes("f")) return FORMATS.full;
  if (unix.includes("j")) return FORMATS.jobs;
  if (bsd.includes("u")) return FORMATS.bsdUser;
  if (bsd.includes("l")) return FORMATS.bsdLong;
  if (bsd.includes("j")) return FORMATS.bsdJobs;
  return unix === "" && bsd !== "" ? FORMATS.bsd : FORMATS.plain;
}

const refused = (words: string) => invalidParameter(`ps: error: ${words}`);
