import { systemError } from "@gantry/spec";
import type { Socket } from "bun";
import type { AttachRequest, AttachStream } from "../contract.ts";
import { ShimError, withSocketPath } from "./control.ts";
import { decodeFailure, encodeRequest, Op, ReplyReader, Want } from "./protocol.ts";

/** Bytes that may wait in the stream before the socket is no longer read. */
const HIGH_WATER = 1 << 20;

interface Writing {
  chunk: Uint8Array;
  resolve(): void;
  reject(error: Error): void;
}

/** An attachment: one request, one answer, then the process's bytes as they are. */
class Attachment implements AttachStream {
  readonly output: ReadableStream<Uint8Array>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #socket!: Socket;
  #reader: ReplyReader | null = new ReplyReader();
  #attached = Promise.withResolvers<void>();
  #writing: Writing[] = [];
  #stdinClosed = false;
  #ended = false;
  #paused = false;

  constructor() {
    this.output = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          if (!this.#paused || this.#ended) return;
          this.#paused = false;
          this.#socket.resume();
        },
        cancel: () => this.close(),
      },
      { highWaterMark: HIGH_WATER, size: (chunk) => chunk?.length ?? 0 },
    );
  }

  async open(stateDir: string, id: string, request: AttachRequest): Promise<void> {
    const want =
      (request.stdin ? Want.stdin : 0) | (request.stdout ? Want.stdout : 0) | (request.stderr ? Want.stderr : 0);
    this.#stdinClosed = !request.stdin;
    await withSocketPath(stateDir, (unix) =>
      Bun.connect({
        unix,
        allowHalfOpen: true,
        socket: {
          open: (socket) => {
            this.#socket = socket;
            socket.write(encodeRequest(1, Op.attach, want, id));
          },
          data: (_, chunk) => this.#data(chunk),
          drain: () => this.#flush(),
          end: () => this.#finish(),
          close: () => this.#finish(),
          error: () => this.#finish(),
        },
      }),
    );
    await this.#attached.promise;
  }

  #data(received: Uint8Array): void {
    if (this.#ended) return;
    let chunk: Uint8Array = received;
    if (this.#reader) {
      this.#reader.push(chunk);
      const reply = this.#reader.next();
      if (!reply) return;
      const { rest } = this.#reader;
      this.#reader = null;
      if (!reply.ok) {
        this.#attached.reject(new ShimError(decodeFailure(reply.body)));
        this.close();
        return;
      }
      this.#attached.resolve();
      if (rest.length === 0) return;
      chunk = rest;
    }
    this.#controller.enqueue(chunk);
    if ((this.#controller.desiredSize ?? 0) <= 0 && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#attached.reject(systemError("the container's shim closed the connection"));
    this.#attached.promise.catch(() => {});
    try {
      this.#controller.close();
    } catch {
      // cancelled by its reader
    }
    for (const one of this.#writing.splice(0)) one.reject(systemError("stdin is closed"));
    this.#stdinClosed = true;
    this.#socket.end();
  }

  #flush(): void {
    while (this.#writing.length > 0) {
      const first = this.#writing[0]!;
      const sent = this.#socket.write(first.chunk);
      if (sent < 0) return this.#finish();
      if (sent < first.chunk.length) {
        first.chunk = first.chunk.subarray(sent);
        return;
      }
      this.#writing.shift();
      first.resolve();
    }
    if (this.#stdinClosed && !this.#ended) this.#socket.shutdown();
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#stdinClosed) return Promise.reject(systemError("stdin is closed"));
    if (chunk.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const idle = this.#writing.length === 0;
      this.#writing.push({ chunk, resolve, reject });
      if (idle) this.#flush();
    });
  }

  closeStdin(): void {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    if (this.#writing.length === 0 && !this.#ended) this.#socket.shutdown();
  }

  close(): void {
    this.#finish();
    this.#socket.terminate();
  }
}

/** Attaches to init (id "") or an exec. Throws ShimError where there is no such process. */
export async function openAttachment(stateDir: string, id: string, request: AttachRequest): Promise<AttachStream> {
  const attachment = new Attachment();
  await attachment.open(stateDir, id, request);
  return attachment;
}
