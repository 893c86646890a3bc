/** A byte stream in both directions whose halves close apart. Made by `dial`. */
export interface Wire {
  /** Sends bytes in order. False where the peer is slow: wait for `drain` before sending much more. */
  write(data: Uint8Array): boolean;
  /** Closes the sending half once all is sent; what the peer sends still arrives. */
  end(): void;
  /** Drops the stream at once. */
  destroy(): void;
  pause(): void;
  resume(): void;
  /** Keeps the process alive, or not, for this stream alone. */
  ref(): void;
  unref(): void;
  listener: WireListener;
}

export interface WireListener {
  data(chunk: Uint8Array): void;
  /** The peer has closed its sending half. */
  end(): void;
  /** The stream is gone; comes once, after `end` where that came. */
  close(error?: Error): void;
  drain(): void;
}

/** Ignores everything: what a wire listens with until its owner sets its own. */
export const deaf: WireListener = { data() {}, end() {}, close() {}, drain() {} };
