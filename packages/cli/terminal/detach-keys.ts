import { CliError } from "../errors.ts";

/** The keys that leave a container running where nothing else is set. */
export const DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q";

/** Reads a sequence such as `ctrl-p,ctrl-q` or `a,b,DEL` into bytes. Throws CliError. */
export function parseDetachKeys(text: string): Uint8Array {
  const codes = (text || DEFAULT_DETACH_KEYS).split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    if (key === "DEL") return 127;
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (!control) throw new CliError(`Unknown character: '${key}'`);
    return control.toUpperCase().charCodeAt(0) - 64;
  });
  return Uint8Array.from(codes);
}

/**
 * Looks for the sequence in what is typed. `feed` returns what may go to the container: bytes that could begin the
 * sequence are held back until they turn out not to; `detached` is set when it is complete.
 */
export class DetachFilter {
  detached = false;
  #keys: Uint8Array;
  #matched = 0;
  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  feed(typed: Uint8Array): Uint8Array {
    const passed: number[] = [];
    for (const byte of typed) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) {
          this.detached = true;
          return Uint8Array.from(passed);
        }
        continue;
      }
      passed.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = 0;
      if (byte === this.#keys[0]) this.#matched = 1;
      else passed.push(byte);
    }
    return Uint8Array.from(passed);
  }
}
