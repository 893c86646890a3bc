import { invalidParameter, parseJson } from "@gantry/spec";

/**
 * The `platform` parameter of newer API versions, JSON of an OCI platform (image-spec descriptor.md), as
 * `os/arch[/variant]`. One may be given; `many` is what more are told. Throws invalidParameter in Docker's words.
 */
export function platformParameter(
  values: string | string[] | undefined,
  many = "multiple platform parameters not supported",
): string | undefined {
  const given = (Array.isArray(values) ? values : [values ?? ""]).filter(Boolean);
  const platforms = given.map(platformOf);
  if (platforms.length > 1) throw invalidParameter(many);
  return platforms[0];
}

function platformOf(text: string): string {
  let parsed: unknown;
  try {
    parsed = parseJson(text);
  } catch {
    throw unparsed(syntaxError(text.trim()));
  }
  const type = Array.isArray(parsed) ? "array" : goType(parsed);
  if (parsed !== null && type !== "object")
    throw unparsed(`json: cannot unmarshal ${type} into Go value of type v1.Platform`);
  const fields = (parsed ?? {}) as Record<string, unknown>;
  const field = (key: string): string => {
    const value = fields[key] ?? "";
    if (typeof value === "string") return value;
    const got = Array.isArray(value) ? "array" : goType(value);
    throw unparsed(`json: cannot unmarshal ${got} into Go struct field Platform.${key} of type string`);
  };
  const [os, architecture, variant, version] = [
    field("os"),
    field("architecture"),
    field("variant"),
    field("os.version"),
  ];
  if (os === "" && architecture === "" && (variant !== "" || version !== "")) {
    throw invalidParameter("optional platform fields provided, but OS and Architecture are missing");
  }
  if (os === "" || architecture === "") throw invalidParameter("both OS and Architecture must be provided");
  return [os, architecture, variant].filter(Boolean).join("/");
}

const unparsed = (why: string) => invalidParameter(`failed to parse platform: ${why}`);
const goType = (value: unknown) => (typeof value === "boolean" ? "bool" : typeof value);

function syntaxError(text: string): string {
  const first = text[0] ?? "";
  const quoted = (char: string) => (char === "'" ? `'\\''` : `'${char}'`);
  if (!/[[{"\d-]/.test(first)) return `invalid character ${quoted(first)} looking for beginning of value`;
  const key = first === "{" ? text.slice(1).trimStart()[0] : undefined;
  if (key !== undefined && key !== '"') {
    return `invalid character ${quoted(key)} looking for beginning of object key string`;
  }
  return "unexpected end of JSON input";
}
