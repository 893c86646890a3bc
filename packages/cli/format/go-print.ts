import { significant } from "./units.ts";

/** JSON as Go's encoding/json writes it: `<`, `>`, `&` and the two line separators as escapes. */
export function goJson(value: unknown): string {
  const text = JSON.stringify(value, (_, inner) => (inner === undefined ? null : inner)) ?? "null";
  return text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A value as Go's `%v` prints it: `map[a:1 b:2]`, `[x y]`, `<nil>` inside of others, `<no value>` by itself. */
export function goValue(value: unknown, nested = false): string {
  if (value === null || value === undefined) return nested ? "<nil>" : "<no value>";
  if (typeof value === "string") return value;
  if (typeof value === "number") return goNumber(value);
  if (Array.isArray(value)) return `[${value.map((item) => goValue(item, true)).join(" ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, item]) => `${key}:${goValue(item, true)}`).join(" ")}]`;
  }
  return String(value);
}

/** Go's printf for the verbs that templates use: v s q d x X o b c t f g e and %, with flags, width and precision. */
export function goPrintf(format: string, args: readonly unknown[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?([a-zA-Z%])/g,
    (whole, flags: string, width, precision, verb) => {
      if (verb === "%") return "%";
      const size = width === "*" ? Number(args[next++]) : Number(width ?? 0);
      const digits = precision === "*" ? Number(args[next++]) : precision === undefined ? undefined : Number(precision);
      if (next >= args.length) return `%!${verb}(MISSING)`;
      let shown = verbText(verb, flags, whole.includes(".") ? (digits ?? 0) : undefined, args[next++]);
      if (size > shown.length && size < 10_000) {
        if (flags.includes("-")) shown = shown.padEnd(size);
        else if (flags.includes("0") && /^[-+]?[\d.]/.test(shown)) {
          const sign = /^[-+]/.exec(shown)?.[0] ?? "";
          shown = sign + shown.slice(sign.length).padStart(size - sign.length, "0");
        } else shown = shown.padStart(size);
      }
      return shown;
    },
  );
  if (next >= args.length) return text;
  return `${text}%!(EXTRA ${args
    .slice(next)
    .map((arg) => `${goType(arg)}=${goValue(arg, true)}`)
    .join(", ")})`;
}

function verbText(verb: string, flags: string, precision: number | undefined, value: unknown): string {
  const number = typeof value === "number" ? value : Number.NaN;
  const wrong = () => `%!${verb}(${goType(value)}=${goValue(value, true)})`;
  switch (verb) {
    case "v":
      return goValue(value, true);
    case "s":
      if (typeof value === "number" || typeof value === "boolean") return wrong();
      return precision === undefined ? goValue(value, true) : [...goValue(value, true)].slice(0, precision).join("");
    case "q":
      return typeof value === "string" ? JSON.stringify(value) : wrong();
    case "d":
      return Number.isInteger(number) ? (flags.includes("+") && number >= 0 ? "+" : "") + String(number) : wrong();
    case "t":
      return typeof value === "boolean" ? String(value) : wrong();
    case "c":
      return Number.isInteger(number) ? String.fromCodePoint(number) : wrong();
    case "x":
    case "X": {
      const hex =
        typeof value === "string"
          ? Buffer.from(value).toString("hex")
          : Number.isInteger(number)
            ? number.toString(16)
            : undefined;
      if (hex === undefined) return wrong();
      const marked = flags.includes("#") ? `0x${hex}` : hex;
      return verb === "X" ? marked.toUpperCase() : marked;
    }
    case "o":
      return Number.isInteger(number) ? number.toString(8) : wrong();
    case "b":
      return Number.isInteger(number) ? number.toString(2) : wrong();
    case "f":
    case "F":
      return Number.isNaN(number) ? wrong() : number.toFixed(Math.min(precision ?? 6, 100));
    case "e":
      return Number.isNaN(number) ? wrong() : number.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, "e$10$2");
    case "g":
      return Number.isNaN(number)
        ? wrong()
        : precision === undefined
          ? goNumber(number)
          : significant(number, precision || 1);
    default:
      return wrong();
  }
}

function goNumber(value: number): string {
  if (Number.isInteger(value)) return BigInt(value).toString();
  return Math.abs(value) >= 1e21 || Math.abs(value) < 1e-4 ? significant(value, 17) : String(value);
}

function goType(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}
