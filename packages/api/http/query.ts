import { invalidParameter } from "@gantry/spec";
import { Kind, type TObject, type TSchema, type TUnion } from "@sinclair/typebox";

/** Whether a query value means true, as Docker reads it: anything but "", 0, no, false, none. */
export function boolValue(text: string | null | undefined): boolean {
  const value = (text ?? "").trim().toLowerCase();
  return !(value === "" || value === "0" || value === "no" || value === "false" || value === "none");
}

/** A query number. Throws invalidParameter with Go's words. */
export function intValue(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) {
    throw invalidParameter(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw invalidParameter(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  }
  return value;
}

/** Reads the declared parameters: booleans as Docker does, empty numbers as absent, lists from repeats. */
export function decodeQuery(schema: TObject | undefined, search: string): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  if (schema === undefined) return result;
  const parameters = search === "" ? EMPTY : new URLSearchParams(search);
  for (const [name, declared] of Object.entries(schema.properties)) {
    const kind = kindOf(declared);
    if (kind === "Array") {
      const values = parameters.getAll(name);
      if (values.length > 0) result[name] = values;
      continue;
    }
    const text = parameters.get(name);
    if (kind === "Boolean") {
      if (text !== null) result[name] = boolValue(text);
      continue;
    }
    if (text === null) continue;
    if (kind === "Integer" || kind === "Number") {
      if (text !== "") result[name] = intValue(text);
    } else result[name] = text;
  }
  return result;
}

const EMPTY = new URLSearchParams();

function kindOf(declared: TSchema): string {
  if (declared[Kind] !== "Union") return declared[Kind];
  return (declared as TUnion).anyOf.find((member) => member[Kind] !== "Null")?.[Kind] ?? "String";
}
