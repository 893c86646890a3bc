import type { Stores } from "./load.ts";
export function save(
  _stores: Stores,
  _references: string[],
  _options: { platform?: string },
): ReadableStream<Uint8Array> {
  throw new Error("not yet");
}
