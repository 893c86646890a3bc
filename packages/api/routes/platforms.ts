import { invalidParameter } from "@gantry/spec";

/**
 * The `platform` parameter of newer API versions, JSON of an OCI platform (image-spec descriptor.md), as `os/arch[/variant]`. One may be
 * given. Throws invalidParameter in Docker's words.
 */
export function platformParameter(values: string | string[] | undefined): string | undefined {
  const given = (Array.isArray(values) ? values : [values ?? ""]).filter(Boolean);
  if (given.length > 1) throw invalidParameter("multiple platform parameters not supported");
  const [text] = given;
  if (text === undefined) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    const first = text.trim()[0] ?? "";
    const why = /[[{"\d-]/.test(first)
      ? "unexpected end of JSON input"
      : `invalid character ${first === "'" ? `'\\''` : `'${first}'`} looking for beginning of value`;
    throw invalidParameter(`failed to parse platform: ${why}`);
  }
  const { os, architecture, variant } = (parsed ?? {}) as Record<string, unknown>;
  if (typeof os !== "string" || typeof architecture !== "string" || os === "" || architecture === "") {
    throw invalidParameter("failed to parse platform: both OS and Architecture must be provided");
  }
  return [os, architecture, typeof variant === "string" ? variant : ""].filter(Boolean).join("/");
}
