import { close } from "@gantry/sys";
import { duplicate } from "./descriptor.ts";
import { createRing, ringStream } from "./feed.ts";
import { Packer, type PackOptions } from "./packer.ts";
import { workers } from "./workers.ts";

/**
 * A tar of what lies below an open directory (a `RootView`'s descriptor, say), as it streams. The descriptor may be
 * closed as soon as this returns. Runs on a thread of its own; with a `filter`, which cannot leave this thread,
 * here in small steps.
 */
export function pack(rootFd: number, options: PackOptions = {}): ReadableStream<Uint8Array> {
  const fd = duplicate(rootFd);
  if (options.filter) return packHere(fd, options);
  const sink = createRing();
  const job = workers.run("pack", { rootFd: fd, sink, options }, { streams: true }).finally(() => close(fd));
  return ringStream(sink, job);
}

const CHUNK = 1 << 16;

function packHere(fd: number, options: PackOptions): ReadableStream<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  const packer = new Packer(
    fd,
    {
      write(bytes) {
        pieces.push(bytes.slice());
        size += bytes.length;
      },
    },
    options,
  );
  const walk = packer.walk();
  let open = true;
  const end = () => {
    if (open) close(fd);
    open = false;
  };
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        try {
          let done = false;
          while (!done && size < CHUNK) done = walk.next().done ?? false;
          if (size > 0) controller.enqueue(new Uint8Array(Buffer.concat(pieces)));
          pieces = [];
          size = 0;
          if (!done) return;
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel() {
        walk.return(undefined);
        end();
      },
    },
    { highWaterMark: 0 },
  );
}
