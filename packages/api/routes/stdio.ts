import { DetachWatcher, parseDetachKeys } from "@gantry/engine";
import type { AttachStream } from "@gantry/libcontainer";
import type { Context } from "../http/index.ts";

/** The client's side: a hijacked connection or a WebSocket. */
export interface Client {
  readonly closed: boolean;
  read(): Promise<Uint8Array | null>;
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** Waits until output can no longer be mistaken for a part of the answer's head. */
  headTaken?(): Promise<void>;
  close(): void;
  whenClosed(listener: () => void): void;
}

export const RAW_STREAM = "application/vnd.docker.raw-stream";
export const MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream";

/** The content type of a process's output: from API 1.42 on it tells whether it is multiplexed. */
export function streamType(tty: boolean, api: number): string {
  return tty || api < 42 ? RAW_STREAM : MULTIPLEXED_STREAM;
}

/** The same of a hijacked connection: only who asks for an upgrade is told. */
export function hijackedType(tty: boolean, context: Pick<Context, "api" | "header">): string {
  return context.header("upgrade") === "" ? RAW_STREAM : streamType(tty, context.api);
}

export interface PumpOptions {
  stdin: boolean;
  /** The client's end of input closes the process's. */
  closeStdin: boolean;
  /** Keys that detach; only watched on terminals. null: none. */
  detachKeys: string | null;
  onDetach?: () => void;
  /** Turns the process's output into what the client was promised. Default: as it is. */
  output?: (chunk: Uint8Array) => Uint8Array;
  /** Waited for between the end of the output and the close. */
  beforeClose?: () => Promise<unknown> | null;
}

/** Carries bytes between a client and a process until its output ends, or the client goes, or detaches. */
export async function pump(client: Client, stream: AttachStream, options: PumpOptions): Promise<void> {
  client.whenClosed(() => stream.close());
  if (options.stdin) void pumpInput(client, stream, options);
  let first = true;
  try {
    for await (const chunk of stream.output as unknown as AsyncIterable<Uint8Array>) {
      if (first) await client.headTaken?.();
      first = false;
      const full = client.write(options.output ? options.output(chunk) : chunk);
      if (full !== undefined) await full;
      if (client.closed) break;
    }
  } catch {
    // The process's side broke off: its end is all there is to tell.
  }
  if (!client.closed) await options.beforeClose?.();
  stream.close();
  client.close();
}

async function pumpInput(client: Client, stream: AttachStream, options: PumpOptions): Promise<void> {
  const watcher = options.detachKeys === null ? null : new DetachWatcher(parseDetachKeys(options.detachKeys));
  try {
    for (let chunk = await client.read(); chunk !== null; chunk = await client.read()) {
      let pass = chunk;
      if (watcher !== null) {
        const seen = watcher.feed(chunk);
        pass = seen.pass;
        if (seen.detach) {
          if (pass.length > 0) await stream.write(pass);
          options.onDetach?.();
          stream.close();
          client.close();
          return;
        }
      }
      if (pass.length > 0) await stream.write(pass);
    }
    if (options.closeStdin && !client.closed) stream.closeStdin();
  } catch {
    // The process has closed its input: what comes is dropped, so that the client need not wait.
    while ((await client.read()) !== null);
  }
}
