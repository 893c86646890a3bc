import { close, O, open } from "@gantry/sys";
import type { Socket } from "bun";
import { decodeFailure, encodeRequest, type Reply, ReplyReader, type ShimFailure } from "./protocol.ts";

/** The shim refused a request, or could not carry it out. */
export class ShimError extends Error {
  readonly failure: ShimFailure;
  constructor(failure: ShimFailure) {
    super(failure.message);
    this.name = "ShimError";
    this.failure = failure;
  }
}

/** The shim has gone: killed, or the machine went down. */
export class ShimGone extends Error {
  constructor() {
    super("the container's shim is gone");
    this.name = "ShimGone";
  }
}

export const SOCKET_NAME = "sock";

/**
 * Calls `use` with a name of the socket in `stateDir` that fits sockaddr_un's 108 bytes however long the path is. The
 * name holds until what `use` returned has settled.
 */
export async function withSocketPath<T>(stateDir: string, use: (path: string) => Promise<T>): Promise<T> {
  const fd = open(stateDir, O.PATH | O.DIRECTORY | O.CLOEXEC);
  try {
    return await use(`/proc/self/fd/${fd}/${SOCKET_NAME}`);
  } finally {
    close(fd);
  }
}

interface Pending {
  resolve(body: Uint8Array): void;
  reject(error: Error): void;
}

/** One connection for all requests of a task but attachments: pipelined, answered in any order. */
export class ControlConnection {
  #socket: Socket | null = null;
  #pending = new Map<number, Pending>();
  #sequence = 0;
  #reader = new ReplyReader();
  #unsent: Uint8Array[] = [];
  #closed = false;

  /** Rejects where nobody listens. */
  static async open(stateDir: string): Promise<ControlConnection> {
    const control = new ControlConnection();
    await withSocketPath(stateDir, (unix) =>
      Bun.connect({
        unix,
        socket: {
          open: (socket) => {
            control.#socket = socket;
          },
          data: (_, chunk) => control.#data(chunk),
          drain: () => control.#flush(),
          close: () => control.#gone(),
          error: () => control.#gone(),
          connectError: () => control.#gone(),
        },
      }),
    );
    return control;
  }

  get closed(): boolean {
    return this.#closed;
  }

  #data(chunk: Uint8Array): void {
    this.#reader.push(chunk);
    try {
      for (let reply = this.#reader.next(); reply; reply = this.#reader.next()) this.#settle(reply);
    } catch {
      this.close();
    }
  }

  #settle({ sequence, ok, body }: Reply): void {
    const pending = this.#pending.get(sequence);
    this.#pending.delete(sequence);
    if (ok) pending?.resolve(body);
    else pending?.reject(new ShimError(decodeFailure(body)));
  }

  #flush(): void {
    while (this.#unsent.length > 0) {
      const first = this.#unsent[0]!;
      const sent = this.#socket!.write(first);
      if (sent < first.length) {
        if (sent > 0) this.#unsent[0] = first.subarray(sent);
        return;
      }
      this.#unsent.shift();
    }
  }

  #gone(): void {
    this.#closed = true;
    const error = new ShimGone();
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }

  /** Sends a request; resolves with the answer's body. Throws ShimError or ShimGone. */
  request(op: number, id = "", body?: Uint8Array, flags = 0): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(new ShimGone());
    const sequence = ++this.#sequence;
    return new Promise((resolve, reject) => {
      this.#pending.set(sequence, { resolve, reject });
      this.#unsent.push(encodeRequest(sequence, op, flags, id, body));
      this.#flush();
    });
  }

  /** Lets the process end though this connection is open. */
  unref(): void {
    this.#socket?.unref();
  }

  close(): void {
    this.#socket?.end();
    this.#gone();
  }
}
