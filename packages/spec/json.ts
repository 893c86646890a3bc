/** The largest number here that Go's clients can read back into an int64. */
export const MAX_INT64 = 2 ** 63 - 1024;

/** As JSON.rawJSON of ECMAScript's proposal "JSON.parse source text access", which the compiler does not know yet. */
const rawJson = (JSON as unknown as { rawJSON(text: string): number }).rawJSON;

/** A count for a field that Go reads as a uint64: written to the last digit, at most 2^64 - 1. */
export function uint64(value: bigint): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  return rawJson((value < 2n ** 64n ? value : 2n ** 64n - 1n).toString());
}

/** Brackets within brackets that a document may have: Go's decoder takes no more either. */
const MAX_DEPTH = 10_000;

/** The words for a document with more. */
export const TOO_DEEP = "exceeded max depth";

/**
 * `JSON.parse` for documents of strangers. A few megabytes of brackets within brackets cost it seconds and a gigabyte.
 *
 * @throws SyntaxError, {@link TOO_DEEP} among them
 */
export function parseJson(text: string): unknown {
  if (text.length > MAX_DEPTH && isTooDeep(text)) throw new SyntaxError(TOO_DEEP);
  return JSON.parse(text);
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22:
        at = endOfString(text, at);
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > MAX_DEPTH) return true;
        break;
      case 0x5d:
      case 0x7d:
        depth--;
    }
  }
  return false;
}

/** Where the quote is that ends a string, or the text's end. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return at;
  }
  return text.length;
}
