import { goJson, goPrintf, goValue } from "./go-print.ts";

/** A function of the template language. */
// biome-ignore lint/suspicious/noExplicitAny: the template decides what it passes; each function checks or converts.
export type TemplateFunction = (...args: any[]) => unknown;

/** A line of a listing: fields by name, computed when they are asked for. Functions take the template's arguments. */
export class Row {
  readonly fields: Record<string, TemplateFunction>;
  readonly type: string;
  constructor(fields: Record<string, TemplateFunction>, type = "*formatter.Context") {
    this.fields = fields;
    this.type = type;
  }
  get(name: string, args: readonly unknown[]): unknown {
    const field = Object.hasOwn(this.fields, name) ? this.fields[name] : undefined;
    if (!field) throw new Error(`can't evaluate field ${name} in type ${this.type}`);
    return field(...args);
  }
  /** All fields that take no argument, in the order of their names, as Docker's JSON listings have them. */
  toJSON(): Record<string, unknown> {
    const names = Object.keys(this.fields).filter((name) => this.fields[name]!.length === 0);
    return Object.fromEntries(names.sort().map((name) => [name, this.fields[name]!()]));
  }
}

const text = (value: unknown): string => goValue(value, true);

/** The functions of Go's text/template and those that Docker adds. */
export const builtins: Record<string, TemplateFunction> = {
  and: () => undefined,
  or: () => undefined,
  not: (value) => !truthy(value),
  len: (value) => {
    if (typeof value === "string") return Buffer.byteLength(value);
    if (Array.isArray(value)) return value.length;
    if (value && typeof value === "object") return Object.keys(value).length;
    throw new Error(`len of type ${typeof value}`);
  },
  index: (value, ...keys) => keys.reduce(indexOne, value),
  slice: (value: string | unknown[], from = 0, to?: number) => {
    const length = value.length;
    const end = to ?? length;
    if (from < 0 || from > end || end > length) throw new Error(`index out of range: ${from > length ? from : end}`);
    return value.slice(from, end);
  },
  print: (...args) => printArgs(args),
  println: (...args) => `${args.map(text).join(" ")}\n`,
  printf: (format: string, ...args) => goPrintf(String(format), args),
  html: (...args) => printArgs(args).replace(/[&<>"']/g, (char) => HTML[char]!),
  js: (...args) => JSON.stringify(printArgs(args)).slice(1, -1),
  urlquery: (...args) => encodeURIComponent(printArgs(args)).replaceAll("%20", "+"),
  call: () => {
    throw new Error("call of nil");
  },
  eq: (first, ...others) => {
    if (others.length === 0) throw new Error("missing argument for comparison");
    return others.some((other) => same(first, other));
  },
  ne: (a, b) => !same(a, b),
  lt: (a, b) => order(a, b) < 0,
  le: (a, b) => order(a, b) <= 0,
  gt: (a, b) => order(a, b) > 0,
  ge: (a, b) => order(a, b) >= 0,
  json: (value) => goJson(value),
  split: (value: string, separator: string) => String(value).split(separator),
  join: (value: unknown[], separator: string) => (value ?? []).map(text).join(separator),
  title: (value) =>
    text(value).replace(
      /(^|[\s\p{P}])(\p{Ll})/gu,
      (_, before: string, letter: string) => before + letter.toUpperCase(),
    ),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  pad: (value: string, before: number, after: number) =>
    value === "" ? value : " ".repeat(before) + value + " ".repeat(after),
  truncate: (value: string, length: number) => (value.length < length ? value : [...value].slice(0, length).join("")),
};

/** What the functions do on the header of a table: they let the names of the columns through. */
export const headerFunctions: Record<string, TemplateFunction> = {
  json: (value) => value,
  title: (value) => value,
  lower: (value) => value,
  upper: (value) => value,
  truncate: (value) => value,
  println: (...args) => `${args.map(text).join(" ")}\n`,
  split: (value) => value,
  join: (value) => value,
  pad: builtins.pad!,
};

const HTML: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };

function printArgs(args: readonly unknown[]): string {
  // Go's Sprint puts a space between two values where neither is a string.
  return args.reduce<string>((all, arg, i) => {
    const gap = i > 0 && typeof arg !== "string" && typeof args[i - 1] !== "string" ? " " : "";
    return all + gap + text(arg);
  }, "");
}

function indexOne(value: unknown, key: unknown): unknown {
  if (Array.isArray(value) || typeof value === "string") {
    if (typeof key !== "number") throw new Error(`cannot index slice/array with type ${typeof key}`);
    if (key < 0 || key >= value.length) throw new Error(`index out of range: ${key}`);
    return typeof value === "string" ? Buffer.from(value)[key] : value[key];
  }
  if (value && typeof value === "object") {
    const name = String(key);
    return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  throw new Error("index of untyped nil");
}

function truthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value && typeof value === "object") return Object.keys(value).length > 0;
  return Boolean(value);
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if ((a ?? null) === null || (b ?? null) === null) return (a ?? null) === (b ?? null);
  if (typeof a !== typeof b) throw new Error("incompatible types for comparison");
  return false;
}

function order(a: unknown, b: unknown): number {
  if (typeof a !== typeof b || (typeof a !== "number" && typeof a !== "string")) {
    throw new Error("incompatible types for comparison");
  }
  return a === b ? 0 : (a as number) < (b as number) ? -1 : 1;
}
