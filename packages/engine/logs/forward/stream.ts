import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import tls from "node:tls";
import { invalidParameter, systemError } from "@gantry/spec";
import { unreadByPeer } from "@gantry/sys";
import type { Socket } from "bun";
import { dialError, joinHostPort, portNumber, resolveHost } from "./dial.ts";
import type { Connection, Shipment } from "./driver.ts";

export type StreamAddress =
  | { type: "tcp"; host: string; port: string }
  | { type: "tls"; host: string; port: string; tls: TlsFiles }
  | { type: "unix"; path: string };

/** Files in PEM; "" for none. */
export interface TlsFiles {
  ca: string;
  cert: string;
  key: string;
  skipVerify: boolean;
}

export interface StreamOptions {
  /** Milliseconds to connect in; 0 for as long as the kernel tries. */
  timeout: number;
  /** Milliseconds in which a write has to get on; 0 for ever. */
  writeTimeout: number;
  /** Reads what the target answers: identifiers that it acknowledges. Throws for what it does not understand. */
  acks?: (chunk: Uint8Array) => string[];
}

/** Connects over TCP, TLS or a unix socket. Throws GantryError with what Go's net.Dial says. */
export async function connectStream(address: StreamAddress, options: StreamOptions): Promise<Connection> {
  if (address.type === "unix") {
    const stream = new Stream(options);
    await stream.open("unix", address.path, { unix: address.path });
    return stream;
  }
  const secure = address.type === "tls" ? await tlsOptions(address.tls, address.host) : null;
  const addresses = await resolveHost("tcp", address.host);
  const port = portNumber("tcp", address.port);
  let failure: unknown = null;
  for (const ip of addresses) {
    const stream = new Stream(options);
    const target = { hostname: ip, port, ...(secure === null ? {} : { tls: secure.options }) };
    try {
      await stream.open("tcp", joinHostPort(ip, address.port), target);
    } catch (error) {
      failure ??= error;
      continue;
    }
    if (secure !== null) await stream.secured(secure.name, !secure.skipVerify);
    return stream;
  }
  throw failure;
}

async function tlsOptions(files: TlsFiles, host: string) {
  const read = async (what: string, path: string) => {
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      const missing = (error as { code?: string }).code === "ENOENT";
      const text = `${what}: open ${path}: ${missing ? "no such file or directory" : (error as Error).message}`;
      throw missing ? invalidParameter(text, error) : systemError(text, error);
    }
  };
  const ca = files.ca && (await read(`could not read CA certificate ${JSON.stringify(files.ca)}`, files.ca));
  const cert = files.cert && (await read("Could not load X509 key pair", files.cert));
  const key = files.key && (await read("Could not load X509 key pair", files.key));
  const name = host || "localhost";
  return {
    name,
    skipVerify: files.skipVerify,
    options: {
      rejectUnauthorized: false,
      ...(isIP(name) === 0 ? { serverName: name } : {}),
      ...(ca ? { ca: [...tls.rootCertificates, ca] } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
    },
  };
}

type Waiter = { resolve(): void; reject(error: Error): void };

class Stream implements Connection {
  private socket: Socket | null = null;
  onFailure: (() => void) | null = null;
  private ended: { clean: boolean; reason: string } | null = null;
  private sawEnd = false;
  /** Bytes that the kernel has taken, and of those what was known to have arrived when last asked. */
  private taken = 0;
  private arrived = 0;
  private readonly pending: { id: string; end: number }[] = [];
  private drained: Waiter | null = null;
  private handshake: Waiter | null = null;
  private verified: Error | null = null;
  private shaken = false;
  private encrypted = false;

  constructor(private readonly options: StreamOptions) {}

  get certain(): boolean {
    return this.options.acks !== undefined;
  }

  async open(network: string, shown: string, target: object): Promise<void> {
    this.encrypted = "tls" in target;
    const socket = {
      data: (_: unknown, chunk: Uint8Array) => this.received(chunk),
      drain: () => this.drained?.resolve(),
      end: () => {
        this.sawEnd = true;
        this.end(true, "closed by the target");
      },
      close: (_: unknown, error?: Error) => this.end(this.sawEnd && !error, error?.message ?? "closed"),
      error: (_: unknown, error: Error) => this.end(false, error.message),
      connectError: () => {},
      handshake: (_: unknown, success: boolean, error: Error | null) => {
        this.shaken = true;
        this.verified = success ? error : (error ?? new Error("handshake failed"));
        this.handshake?.resolve();
      },
    };
    const opening = Bun.connect({ ...target, socket } as never) as Promise<Socket>;
    try {
      this.socket = await within(opening, this.options.timeout);
    } catch (error) {
      // One that opens all the same is not wanted any more.
      opening.then((late) => late.terminate()).catch(() => {});
      throw dialError(network, shown, error);
    }
  }

  /** Waits until TLS is set up, and checks whom one talks to. */
  async secured(name: string, verify: boolean): Promise<void> {
    if (!this.shaken) {
      const shaking = new Promise<void>((resolve, reject) => {
        this.handshake = { resolve, reject };
        if (this.ended !== null) reject(new Error(this.ended.reason));
      });
      try {
        await within(shaking, this.options.timeout || 30_000);
      } catch (error) {
        this.close();
        throw systemError(`tls: handshake failure: ${(error as Error).message}`, error);
      }
    }
    let problem = this.verified;
    if (problem === null && verify) {
      const certificate = (this.socket as unknown as { getPeerCertificate(): never }).getPeerCertificate();
      problem = tls.checkServerIdentity(name, certificate) ?? null;
    }
    if (problem === null || !verify) return;
    this.close();
    throw systemError(`tls: failed to verify certificate: x509: ${problem.message}`, problem);
  }

  async write({ data, acks }: Shipment): Promise<void> {
    let start = this.taken;
    for (const { id, bytes } of acks ?? []) {
      start += bytes;
      this.pending.push({ id, end: start });
    }
    for (const block of data) {
      for (let at = 0; at < block.length; ) {
        if (this.ended !== null) throw new Error(this.ended.reason);
        const count = this.socket?.write(block, at, block.length - at) ?? -1;
        if (count > 0) {
          at += count;
          this.taken += count;
        } else if (count < 0) this.end(false, "broken");
        if (at < block.length) await this.drain();
      }
    }
  }

  private async drain(): Promise<void> {
    const { writeTimeout } = this.options;
    if (this.ended !== null) throw new Error(this.ended.reason);
    const waiting = new Promise<void>((resolve, reject) => {
      this.drained = { resolve, reject };
    });
    try {
      await within(waiting, writeTimeout);
    } catch (error) {
      this.end(false, (error as Error).message);
      throw error;
    } finally {
      this.drained = null;
    }
  }

  delivered(): number {
    if (this.certain || this.ended !== null || this.socket === null) return this.arrived;
    const left = unreadByPeer((this.socket as unknown as { fd: number }).fd);
    // Encrypted bytes are others; none left is none left all the same.
    if (!this.encrypted) this.arrived = Math.max(this.arrived, this.taken - left);
    else if (left === 0) this.arrived = this.taken;
    return this.arrived;
  }

  failed(): { clean: boolean; reason: string } | null {
    return this.ended;
  }

  close(): void {
    const { socket } = this;
    this.end(true, "closed");
    socket?.end();
  }

  private received(chunk: Uint8Array): void {
    const { acks } = this.options;
    if (acks === undefined) return;
    try {
      for (const id of acks(chunk)) {
        const first = this.pending.shift();
        if (first?.id !== id) throw new Error("acknowledged something else");
        this.arrived = first.end;
      }
    } catch (error) {
      this.end(false, (error as Error).message);
    }
  }

  private end(clean: boolean, reason: string): void {
    // A reset comes after an end that looked clean.
    if (this.ended !== null && (clean || !this.ended.clean)) return;
    if (this.ended === null) {
      // Of a socket that is closed nothing can be asked.
      if (clean) this.delivered();
      const { socket } = this;
      // Not while its own callback runs.
      setImmediate(() => (clean ? socket?.end() : socket?.terminate()));
    }
    this.ended = { clean, reason };
    const error = new Error(reason);
    this.drained?.reject(error);
    this.handshake?.reject(error);
    this.onFailure?.();
  }
}

/** Rejects with ETIMEDOUT where it takes longer; 0 for no limit. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  if (ms <= 0) return work;
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error("i/o timeout"), { code: "ETIMEDOUT" })), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
