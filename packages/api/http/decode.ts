import { invalidParameter, MAX_INT64 } from "@gantry/spec";
import { Kind, type TInteger, type TObject, type TSchema, type TUnion } from "@sinclair/typebox";

/**
 * Turns parsed JSON into what a schema declares, the way Go's decoder does (Docker's clients are written against it):
 * null is the zero value and vanishes, unknown keys are ignored, keys match whatever their case, a wrong type is
 * refused with Go's words.
 *
 * @throws invalidParameter `invalid JSON: json: cannot unmarshal …`
 */
export function decodeJson(schema: TSchema, value: unknown, name: string): unknown {
  return decode(schema, value, name, "") ?? emptyOf(schema);
}

function emptyOf(schema: TSchema): unknown {
  const kind = unwrap(schema)[Kind];
  return kind === "Object" || kind === "Record" ? {} : kind === "Array" ? [] : undefined;
}

/** The schema behind `maybe(…)`. */
function unwrap(schema: TSchema): TSchema {
  if (schema[Kind] !== "Union") return schema;
  const members = (schema as TUnion).anyOf.filter((member) => member[Kind] !== "Null");
  return members.length === 1 ? (members[0] as TSchema) : schema;
}

function decode(declared: TSchema, value: unknown, root: string, path: string): unknown {
  if (value === null || value === undefined) return undefined;
  const schema = unwrap(declared);
  switch (schema[Kind]) {
    case "String":
      return typeof value === "string" ? value : mismatch(value, root, path, "string");
    case "Boolean":
      return typeof value === "boolean" ? value : mismatch(value, root, path, "bool");
    case "Integer":
      return decodeInteger(schema as TInteger, value) ?? mismatch(value, root, path, goType(schema));
    case "Number":
      return typeof value === "number" ? value : mismatch(value, root, path, "float64");
    case "Array": {
      if (!Array.isArray(value)) return mismatch(value, root, path, goType(schema));
      const item = schema["items"] as TSchema;
      return value.map((entry) => decode(item, entry, root, path) ?? zeroOf(item));
    }
    case "Record": {
      if (typeof value !== "object" || Array.isArray(value)) return mismatch(value, root, path, goType(schema));
      const item = Object.values(schema["patternProperties"] as Record<string, TSchema>)[0] as TSchema;
      const result: Record<string, unknown> = Object.create(null);
      for (const [key, entry] of Object.entries(value)) {
        result[key] = decode(item, entry, root, path === "" ? key : path) ?? zeroOf(item);
      }
      return Object.assign({}, result);
    }
    case "Object":
      return decodeObject(schema as TObject, value, root, path);
    case "Union":
      return decodeUnion(schema as TUnion, value, root, path);
    case "Literal":
      return value;
    default:
      return value;
  }
}

function decodeInteger({ minimum, maximum }: TInteger, value: unknown): number | undefined {
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  if (value < (minimum ?? -(2 ** 63)) || value > (maximum ?? 2 ** 63)) return undefined;
  return Math.min(value, MAX_INT64);
}

const properties = new WeakMap<TSchema, Map<string, [string, TSchema]>>();

function propertiesOf(schema: TObject): Map<string, [string, TSchema]> {
  let known = properties.get(schema);
  if (known === undefined) {
    known = new Map();
    for (const [key, member] of Object.entries(schema.properties ?? {})) known.set(key.toLowerCase(), [key, member]);
    properties.set(schema, known);
  }
  return known;
}

function decodeObject(schema: TObject, value: unknown, root: string, path: string): unknown {
  if (typeof value !== "object" || Array.isArray(value)) return mismatch(value, root, path, goType(schema));
  const known = propertiesOf(schema);
  const result: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value as object)) {
    const member = known.get(key.toLowerCase());
    if (member === undefined) continue;
    const decoded = decode(member[1], entry, root, path === "" ? member[0] : `${path}.${member[0]}`);
    if (decoded !== undefined) result[member[0]] = decoded;
  }
  return result;
}

function decodeUnion(schema: TUnion, value: unknown, root: string, path: string): unknown {
  let failure: unknown;
  for (const member of schema.anyOf) {
    if (member[Kind] === "Null") continue;
    try {
      return decode(member, value, root, path);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** What Go leaves in a list or map where the document says null. */
function zeroOf(declared: TSchema): unknown {
  if (declared[Kind] === "Union" && (declared as TUnion).anyOf.some((member) => member[Kind] === "Null")) return null;
  switch (declared[Kind]) {
    case "String":
      return "";
    case "Boolean":
      return false;
    case "Integer":
    case "Number":
      return 0;
    case "Array":
      return [];
    default:
      return {};
  }
}

function mismatch(value: unknown, root: string, path: string, type: string): never {
  const got = Array.isArray(value)
    ? "array"
    : typeof value === "object"
      ? "object"
      : typeof value === "boolean"
        ? "bool"
        : typeof value === "number"
          ? Number.isInteger(value)
            ? "number"
            : `number ${value}`
          : "string";
  const where = path === "" ? `Go value of type ${type}` : `Go struct field ${root}.${path} of type ${type}`;
  throw invalidParameter(`invalid JSON: json: cannot unmarshal ${got} into ${where}`);
}

function goType(declared: TSchema): string {
  const schema = unwrap(declared);
  switch (schema[Kind]) {
    case "String":
      return "string";
    case "Boolean":
      return "bool";
    case "Integer":
      return schema["maximum"] === 65535 ? "uint16" : schema["minimum"] === 0 ? "uint64" : "int64";
    case "Number":
      return "float64";
    case "Array":
      return `[]${goType(schema["items"] as TSchema)}`;
    case "Record":
      return `map[string]${goType(Object.values(schema["patternProperties"] as Record<string, TSchema>)[0] as TSchema)}`;
    default:
      return "struct";
  }
}
