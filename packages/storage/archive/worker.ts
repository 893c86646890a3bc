import { GantryError } from "@gantry/spec";
import { type JobKind, jobs } from "./jobs.ts";
import { RingClosed } from "./ring.ts";

/** Entry point of a worker thread: runs jobs one after the other, each to its end. */
declare const self: Worker;

self.onmessage = (event: MessageEvent<{ kind: JobKind; job: unknown }>) => {
  const { kind, job } = event.data;
  try {
    const result = (jobs[kind] as (job: unknown) => unknown)(job);
    self.postMessage({ result });
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
