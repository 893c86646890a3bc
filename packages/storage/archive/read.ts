import type { TarEntry } from "./entry.ts";
import { TarParser, type TarSink } from "./parser.ts";

/** One member of an archive being read, with its payload (for sparse files: as stored, without the holes). */
export interface TarMember {
  entry: TarEntry;
  /** May be read once, before the next member is asked for; what is left unread is skipped. */
  body: AsyncIterable<Uint8Array>;
}

type Event = { entry: TarEntry } | { data: Uint8Array } | "end";

/**
 * Reads a plain tar as it streams in, for small archives and those whose members go to different places. To lay one out on
 * disk use `extract`. Throws invalidParameter for damaged archives; cancels the stream when left early.
 *
 *     for await (const { entry, body } of readTar(stream)) …
 */
export async function* readTar(stream: ReadableStream<Uint8Array>): AsyncGenerator<TarMember> {
  const events: Event[] = [];
  const sink: TarSink = {
    entry: (entry) => void events.push({ entry }),
    data: (data) => void events.push({ data }),
    end: () => void events.push("end"),
  };
  const parser = new TarParser(sink);
  const reader = stream.getReader();
  let finished = false;
  const next = async (): Promise<Event | null> => {
    while (events.length === 0) {
      if (finished) return null;
      const { done, value } = await reader.read();
      if (done) {
        finished = true;
        parser.finish();
      } else {
        parser.push(value);
      }
    }
    return events.shift()!;
  };
  try {
    for (let event = await next(); event !== null; event = await next()) {
      if (event === "end" || !("entry" in event)) continue;
      let open = true;
      const body = (async function* () {
        while (open) {
          const piece = await next();
          if (piece === null || piece === "end" || !("data" in piece)) {
            open = false;
            return;
          }
          yield piece.data;
        }
      })();
      yield { entry: event.entry, body };
      for await (const _ of { [Symbol.asyncIterator]: () => ({ next: () => body.next() }) }) {
        // Skips what the caller left.
      }
      open = false;
    }
  } finally {
    if (!finished) await reader.cancel().catch(() => {});
  }
}

/** All of a member's payload. Throws RangeError above `limit` bytes. */
export async function readBody(body: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > limit) throw new RangeError(`archive member is larger than ${limit} bytes`);
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}
