/** A failure that is worth trying again: the network's or the registry's, not the content's. */
export class TransientError extends Error {
  /** Milliseconds the registry asked us to wait, if it did. */
  readonly retryAfter?: number;
  constructor(message: string, options?: { cause?: unknown; retryAfter?: number }) {
    super(message, options);
    this.name = "TransientError";
    this.retryAfter = options?.retryAfter;
  }
}

export interface Backoff {
  /** Tries in all, the first included. */
  attempts: number;
  /** Milliseconds before the second try; doubled each time. */
  base: number;
  /** The longest wait in milliseconds; a registry that asks for more is not asked again. */
  limit: number;
}

export const DEFAULT_BACKOFF: Backoff = { attempts: 5, base: 500, limit: 30_000 };

/** Milliseconds to wait before try number `attempt` (1 = the first retry), with up to a quarter of jitter. */
export function delayBefore(attempt: number, backoff: Backoff, retryAfter?: number): number {
  if (retryAfter !== undefined) return retryAfter;
  const delay = Math.min(backoff.base * 2 ** (attempt - 1), backoff.limit);
  return delay * (0.75 + Math.random() * 0.25);
}

/** Whether the registry wants us gone for longer than anybody would wait before a terminal (a pull limit). */
export function tooLong(error: TransientError, backoff: Backoff): boolean {
  return (error.retryAfter ?? 0) > backoff.limit;
}

/** Reads a `Retry-After` header (RFC 9110 §10.2.3), seconds or a date, as milliseconds from now. */
export function parseRetryAfter(header: string | null, now = Date.now()): number | undefined {
  if (!header) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header.trim()) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Waits; rejects with the signal's reason where it is aborted meanwhile. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * Runs the work until it succeeds, a failure is not a TransientError, or the tries are used up. `onRetry` hears of each
 * wait before it begins.
 */
export async function retrying<T>(
  work: (attempt: number) => Promise<T>,
  options: { backoff?: Backoff; signal?: AbortSignal; onRetry?: (error: TransientError, delay: number) => void } = {},
): Promise<T> {
  const backoff = options.backoff ?? DEFAULT_BACKOFF;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!(error instanceof TransientError) || attempt >= backoff.attempts || tooLong(error, backoff)) throw error;
      const delay = delayBefore(attempt, backoff, error.retryAfter);
      options.onRetry?.(error, delay);
      await sleep(delay, options.signal);
    }
  }
}
