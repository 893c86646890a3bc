import { GantryError } from "@gantry/spec";
import { type JobKind, jobs } from "./jobs.ts";
import { RingClosed } from "./ring.ts";
import type { UnpackResult } from "./unpack.ts";

/** Entry point of a worker thread: runs jobs one after the other, each to its end. */
declare const self: Worker;

self.onmessage = (event: MessageEvent<{ kind: JobKind; job: unknown }>) => {
  const { kind, job } = event.data;
  try {
    const result = (jobs[kind] as (job: unknown) => unknown)(job);
    self.postMessage({ result });
    // Views of what passed are small, yet hold much: collected here, where nobody waits for the loop.
    if (kind === "unpack" && (result as UnpackResult).tarSize > 8 << 20) setTimeout(() => Bun.gc(true), 0);
  } catch (error) {
    const e = error as Error & { errno?: number; syscall?: string };
    self.postMessage({
      error: {
        kind: e instanceof GantryError ? e.kind : e instanceof RingClosed ? "cancelled" : "system",
        message: e.message,
        stack: e.stack,
      },
    });
  }
};
