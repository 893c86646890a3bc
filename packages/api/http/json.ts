import { invalidParameter } from "@gantry/spec";

/**
 * The JSON object or array that a text begins with, for one that is no JSON as a whole. Go's decoder looks no further
 * than the next character: a bracket too many (of clients that glue their JSON together) passes, anything else is
 * "unexpected content". Throws invalidParameter in Docker's words.
 */
export function firstJson(text: string): unknown {
  const end = endOfValue(text);
  if (end === null) throw invalidParameter("invalid JSON: unexpected EOF");
  let value: unknown;
  try {
    value = JSON.parse(text.slice(0, end));
  } catch (error) {
    throw invalidParameter(`invalid JSON: ${(error as Error).message}`);
  }
  const next = text.slice(end).trimStart()[0];
  if (next !== undefined && next !== "}" && next !== "]") throw invalidParameter("unexpected content after JSON");
  return value;
}

/** Where the first bracket's counterpart ends; the whole where no bracket begins it; null where it is missing. */
function endOfValue(text: string): number | null {
  if (!/^\s*[{[]/.test(text)) return text.length;
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/[{}[\]]|"(?:[^"\\]|\\.)*(?:"|$)/gs)) {
    if (token === "{" || token === "[") depth++;
    else if ((token === "}" || token === "]") && --depth === 0) return index + 1;
  }
  return null;
}
