/**
 * File names are bytes, strings are not. A name that is not UTF-8 keeps each stray byte 0x80..0xff as the lone
 * surrogate U+DC80..U+DCFF, so that decode and encode are inverse for every byte string.
 */
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const STRAY = /[\udc80-\udcff]/;

/** The name in bytes [start, end), which must not contain NUL. */
export function decodeName(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let ascii = true;
  for (let i = start; i < end; i++) {
    if (bytes[i]! >= 0x80) {
      ascii = false;
      break;
    }
  }
  // Views of shared memory are refused by TextDecoder, hence the copy; names are short.
  const part = Buffer.from(bytes.subarray(start, end));
  if (ascii) return part.toString("latin1");
  try {
    return strict.decode(part);
  } catch {
    return decodeStray(part);
  }
}

function decodeStray(bytes: Buffer): string {
  let out = "";
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i]!;
    const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    let piece: string | undefined;
    if (length > 0 && i + length <= bytes.length) {
      try {
        piece = strict.decode(bytes.subarray(i, i + length));
      } catch {
        piece = undefined;
      }
    }
    if (piece === undefined) {
      out += String.fromCharCode(0xdc00 + lead);
      i++;
    } else {
      out += piece;
      i += length;
    }
  }
  return out;
}

/** The bytes of a name that `decodeName` gave (or of any string). */
export function encodeName(name: string): Uint8Array {
  if (!STRAY.test(name) || name.isWellFormed()) return encoder.encode(name);
  const parts: Uint8Array[] = [];
  for (const char of name) {
    const code = char.codePointAt(0)!;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code - 0xdc00) : encoder.encode(char));
  }
  return Buffer.concat(parts);
}

/** Byte order of two names, as C's strcmp has it (and so as other tools sort). */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return x < 0x80 && y < 0x80 ? x - y : Buffer.compare(encodeName(a), encodeName(b));
  }
  return a.length - b.length;
}
