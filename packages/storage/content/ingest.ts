import { rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type Digest, digestAlgorithm, invalidParameter, systemError } from "@gantry/spec";
import type { Ingest } from "../contract.ts";

interface Host {
  commit(path: string, digest: Digest, size: number): void;
  /** Its key is free; `after` where it has bytes to write still, which who comes next waits for. */
  closed(after?: Promise<void>): void;
}

/** Bytes gathered before they are written: one call to the thread pool for each would cost more than the write. */
const BATCH = 1 << 20;

/** One download on its way to a blob: appended to a file, hashed while written; on a resume the old part is hashed first. */
export class FileIngest implements Ingest {
  private hash = new Bun.CryptoHasher("sha256");
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private written = 0;
  private tail: Promise<void> = Promise.resolve();
  private open = true;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly host: Host,
  ) {}

  static async open(path: string, host: Host): Promise<FileIngest> {
    const file = await open(path, "a+", 0o600);
    const ingest = new FileIngest(path, file, host);
    try {
      await ingest.hashExisting();
    } catch (error) {
      await file.close();
      throw error;
    }
    return ingest;
  }

  get offset(): number {
    return this.written + this.pendingBytes;
  }

  write(chunk: Uint8Array): Promise<void> | void {
    this.check();
    this.pending.push(chunk);
    this.pendingBytes += chunk.length;
    if (this.pendingBytes >= BATCH) return this.flush();
  }

  async commit(expected: Digest | null, size?: number): Promise<Digest> {
    this.check();
    try {
      await this.flush();
      if (size !== undefined && size !== this.written) {
        throw invalidParameter(`unexpected commit size ${this.written}, expected ${size}: failed precondition`);
      }
      const digest = await this.digest(expected);
      if (expected !== null && digest !== expected) {
        throw invalidParameter(`unexpected commit digest ${digest}, expected ${expected}: failed precondition`);
      }
      this.open = false;
      // In one step: nobody finds the key free and the file still under it.
      try {
        await this.file.close();
        this.host.commit(this.path, digest, this.written);
      } finally {
        this.host.closed();
      }
      return digest;
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.host.closed(
      this.flushPending()
        .catch(() => {})
        .then(() => this.file.close())
        .catch(() => {}),
    );
  }

  discard(): void {
    rmSync(this.path, { force: true });
    if (!this.open) return;
    this.open = false;
    this.pending = [];
    this.pendingBytes = 0;
    // The file has no name any more: whoever begins anew under this key is not in the way of its closing.
    this.host.closed();
    void this.tail.then(() => this.file.close()).catch(() => {});
  }

  private check(): void {
    if (!this.open) throw systemError("ingest is closed");
  }

  private async flush(): Promise<void> {
    await this.flushPending();
    this.check();
  }

  /** One after the other, also where the caller does not wait for a write before the next. */
  private flushPending(): Promise<void> {
    const next = this.tail.then(() => this.append());
    this.tail = next.catch(() => {});
    return next;
  }

  private async append(): Promise<void> {
    if (this.pendingBytes === 0) return;
    const batch = this.pending;
    this.pending = [];
    this.pendingBytes = 0;
    const bytes = batch.length === 1 ? batch[0]! : Buffer.concat(batch);
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.file.write(bytes, done, bytes.length - done);
      this.hash.update(bytes.subarray(done, done + bytesWritten));
      this.written += bytesWritten;
      done += bytesWritten;
    }
  }

  private async hashExisting(): Promise<void> {
    const buffer = Buffer.allocUnsafe(BATCH);
    for (;;) {
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, this.written);
      if (bytesRead === 0) return;
      this.hash.update(buffer.subarray(0, bytesRead));
      this.written += bytesRead;
    }
  }

  private async digest(expected: Digest | null): Promise<Digest> {
    if (expected === null || digestAlgorithm(expected) === "sha256") return `sha256:${this.hash.digest("hex")}`;
    const hash = new Bun.CryptoHasher("sha512");
    for await (const chunk of Bun.file(this.path).stream()) hash.update(chunk);
    return `sha512:${hash.digest("hex")}`;
  }
}
