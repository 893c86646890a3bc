import type { AttachRequest, AttachStream } from "@gantry/libcontainer";
import { conflict, invalidParameter } from "@gantry/spec";
import type { Container } from "./container.ts";
import { prepareStart } from "./prepare.ts";

/**
 * Attaches to a container's stdio: at once where it runs; where it does not, once it is started (null when it is
 * removed, or fails to start, before).
 */
export function attachContainer(container: Container, request: AttachRequest): Promise<AttachStream | null> {
  if (container.state.status === "paused") {
    throw conflict(`container ${container.id} is paused, unpause the container before attach`);
  }
  if (container.removing || container.removed) return Promise.resolve(null);
  const wanted = { ...request, stdin: request.stdin && container.record.config.OpenStdin === true };
  const task = container.running ? container.task : container.beginning;
  if (task !== null) return task.attach(wanted);
  const attached = new Promise<AttachStream | null>((resolve) => {
    container.pendingAttach.push({ request: wanted, resolve });
  });
  prepareStart(container.engine, container);
  return attached;
}

const CONTROL: Record<string, number> = { "@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, _: 31 };

/** Detach keys such as "ctrl-p,ctrl-q" as bytes. Throws invalidParameter. */
export function parseDetachKeys(text: string): number[] {
  const keys = text === "" ? "ctrl-p,ctrl-q" : text;
  return keys.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-(.)$/.exec(key)?.[1];
    if (control !== undefined) {
      if (/[a-zA-Z]/.test(control)) return control.toLowerCase().charCodeAt(0) - 96;
      const code = CONTROL[control];
      if (code !== undefined) return code;
    }
    if (key === "DEL") return 127;
    throw invalidParameter(`Invalid detach keys (${text}) provided`);
  });
}

/** Watches what is typed for the detach keys; holds back a beginning of them until it is clear what follows. */
export class DetachWatcher {
  private readonly keys: number[];
  private matched = 0;

  constructor(keys: number[]) {
    this.keys = keys;
  }

  /** What of the input may pass, and whether the keys were complete. */
  feed(chunk: Uint8Array): { pass: Uint8Array; detach: boolean } {
    if (this.matched === 0 && !chunk.includes(this.keys[0] as number)) return { pass: chunk, detach: false };
    const out: number[] = [];
    for (const byte of chunk) {
      if (byte === this.keys[this.matched]) {
        this.matched++;
        if (this.matched === this.keys.length) return { pass: Uint8Array.from(out), detach: true };
        continue;
      }
      for (let i = 0; i < this.matched; i++) out.push(this.keys[i] as number);
      this.matched = byte === this.keys[0] ? 1 : 0;
      if (this.matched === 0) out.push(byte);
    }
    return { pass: Uint8Array.from(out), detach: false };
  }
}
