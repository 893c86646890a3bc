import type { LayerEvent } from "./layer.ts";

type Listener = (event: LayerEvent) => void;

interface Transfer {
  done: Promise<void>;
  listeners: Set<Listener>;
  last: LayerEvent | undefined;
  abort: AbortController;
}

/**
 * Work that several pulls may want at the same time is done once: each listens, and it is only aborted when the last
 * one has gone.
 */
export class Transfers {
  readonly #running = new Map<string, Transfer>();

  /** Joins the transfer of this key, or begins it. Rejects with the signal's reason where the caller gives up. */
  async join(
    key: string,
    begin: (onEvent: Listener, signal: AbortSignal) => Promise<void>,
    listener: Listener,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    let transfer = this.#running.get(key);
    if (!transfer || transfer.abort.signal.aborted) transfer = this.#begin(key, begin);
    else if (transfer.last) listener(transfer.last);
    const { listeners, abort, done } = transfer;
    listeners.add(listener);
    let leave: (() => void) | undefined;
    try {
      await Promise.race([
        done,
        new Promise<never>((_, reject) => {
          leave = () => reject(signal.reason);
          signal.addEventListener("abort", leave, { once: true });
        }),
      ]);
    } catch (error) {
      if (signal.aborted && listeners.size === 1) {
        abort.abort(signal.reason);
        // Until it has let go of its files, another pull of the same blob must not begin.
        await done.catch(() => {});
      }
      throw error;
    } finally {
      listeners.delete(listener);
      if (leave) signal.removeEventListener("abort", leave);
    }
  }

  #begin(key: string, begin: (onEvent: Listener, signal: AbortSignal) => Promise<void>): Transfer {
    const abort = new AbortController();
    const listeners = new Set<Listener>();
    const earlier = this.#running.get(key)?.done.catch(() => {});
    const transfer: Transfer = { done: Promise.resolve(), listeners, last: undefined, abort };
    const onEvent = (event: LayerEvent) => {
      transfer.last = event;
      for (const listener of listeners) listener(event);
    };
    transfer.done = (async () => {
      await earlier;
      await begin(onEvent, abort.signal);
    })().finally(() => {
      if (this.#running.get(key) === transfer) this.#running.delete(key);
    });
    transfer.done.catch(() => {});
    this.#running.set(key, transfer);
    return transfer;
  }
}
