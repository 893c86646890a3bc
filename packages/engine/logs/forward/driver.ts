import type { LogMessage } from "./message.ts";

/** What goes over the wire for some messages: one run of bytes for a stream, several datagrams else. */
export interface Shipment {
  data: Uint8Array[];
  /** Identifiers that the target answers with, in order, each with how many of the bytes it stands for. */
  acks?: { id: string; bytes: number }[];
}

/** A way to a target that is open. Whatever breaks it, `failed` tells. */
export interface Connection {
  /** Resolves when the kernel has taken it all; never overlapping. Rejects when the connection is broken. */
  write(shipment: Shipment): Promise<void>;
  /** How many of the bytes written here have reached the target, as far as that can be known. */
  delivered(): number;
  /** How it ended, once it has: `clean` where the target had read all that had come to it. */
  failed(): { clean: boolean; reason: string } | null;
  /** Whether what was delivered needs no second sending, however the connection ends. */
  readonly certain: boolean;
  close(): void;
}

/** A log driver for one container. */
export interface ForwardDriver {
  readonly name: string;
  /** A start fails where the target cannot be reached. */
  readonly mustConnect: boolean;
  /** Milliseconds to wait before the n-th try (from 0) to connect again. */
  retryDelay(tries: number): number;
  /** Throws `DialError`, or systemError in Docker's words. */
  connect(): Promise<Connection>;
  /** Bytes for one message; a list for datagrams; null for none. */
  encode(message: LogMessage): Uint8Array | string | Uint8Array[] | { bytes: Uint8Array; ack: string } | null;
}
