import type { AttachRequest, AttachStream, ExecTask } from "@gantry/libcontainer";
import type { Exec } from "./execs.ts";

/** How long a process waits for its start before it is taken away again. Clients ask for it within milliseconds. */
const PATIENCE_MS = 2000;

/**
 * An exec's process, made while its client is still on its way from `create` to `start`, with its streams attached. Nobody sees
 * it but in the container's list of processes; a start that wants it otherwise makes its own.
 */
export class PreparedExec {
  private readonly timer: Timer;
  private taken = false;
  private gone: Promise<void> | null = null;

  constructor(
    private readonly exec: Exec,
    private readonly made: Promise<{ task: ExecTask; stream: AttachStream | null }>,
  ) {
    this.timer = setTimeout(() => this.discard(), PATIENCE_MS);
    this.timer.unref();
    made.catch(() => {});
  }

  /** The process for this way of being attached; null where there is none. Then its id is free for another. */
  async take(request: AttachRequest | null): Promise<{ task: ExecTask; stream: AttachStream | null } | null> {
    if (this.gone !== null) {
      await this.gone;
      return null;
    }
    this.taken = true;
    clearTimeout(this.timer);
    this.exec.prepared = null;
    let made: { task: ExecTask; stream: AttachStream | null };
    try {
      made = await this.made;
    } catch {
      return null;
    }
    if ((request === null) === (made.stream === null)) return made;
    made.stream?.close();
    return { task: made.task, stream: request === null ? null : await made.task.attach(request) };
  }

  /** Takes it away, where nobody has taken it. */
  discard(): void {
    if (this.taken || this.gone !== null) return;
    clearTimeout(this.timer);
    this.gone = this.made
      .then(async ({ task, stream }) => {
        stream?.close();
        await task.discard();
      })
      .catch(() => {})
      .then(() => {
        if (this.exec.prepared === this) this.exec.prepared = null;
      });
  }
}
