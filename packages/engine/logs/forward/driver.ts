import type { Frames } from "./frames.ts";
import type { LogMessage } from "./message.ts";

/** What goes over the wire for some messages (see `Frames`). */
export type Shipment = Pick<Frames, "data"> & Partial<Pick<Frames, "acks">>;

/** A way to a target that is open. Whatever breaks it, `failed` tells. */
export interface Connection {
  /** Resolves when the kernel has taken it all; never overlapping. Rejects when the connection is broken. */
  write(shipment: Shipment): Promise<void>;
  /** How many of the bytes written here have reached the target, as far as that can be known. */
  delivered(): number;
  /** How it ended, once it has: `clean` where the target had read all that had come to it. */
  failed(): { clean: boolean; reason: string } | null;
  /** Called when it has ended. */
  onFailure: (() => void) | null;
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
  /** Writes one message, or nothing where it is none for this target. */
  encode(message: LogMessage, out: Frames): void;
}
