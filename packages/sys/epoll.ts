import { SysError } from "./errno.ts";
import { close } from "./file.ts";
import { check, errno, libc } from "./libc.ts";

export const EPOLL = { IN: 1, OUT: 4, ERR: 8, HUP: 16, RDHUP: 0x2000 } as const;

const CTL = { ADD: 1, DEL: 2, MOD: 3 };

/** struct epoll_event is packed on x86-64 only (epoll_ctl(2)). */
const SIZE = process.arch === "x64" ? 12 : 16;
const DATA = process.arch === "x64" ? 4 : 8;

/** epoll(7), level-triggered, for threads that run a loop of their own (blocking in `wait`) instead of Bun's. */
export class Epoll {
  readonly #fd: number;
  readonly #events: Uint8Array;
  readonly #view: DataView;
  readonly #capacity: number;
  readonly #one = new Uint8Array(SIZE);
  readonly #oneView = new DataView(this.#one.buffer);

  constructor(capacity = 256) {
    this.#fd = check(libc.epoll_create1(0o2000000), "epoll_create1");
    this.#capacity = capacity;
    this.#events = new Uint8Array(capacity * SIZE);
    this.#view = new DataView(this.#events.buffer);
  }

  #control(operation: number, fd: number, events: number): void {
    this.#oneView.setUint32(0, events, true);
    this.#oneView.setInt32(DATA, fd, true);
    check(libc.epoll_ctl(this.#fd, operation, fd, this.#one), "epoll_ctl");
  }

  add(fd: number, events: number): void {
    this.#control(CTL.ADD, fd, events);
  }

  modify(fd: number, events: number): void {
    this.#control(CTL.MOD, fd, events);
  }

  /** Must be called before the descriptor is closed where a duplicate of it stays open. */
  remove(fd: number): void {
    libc.epoll_ctl(this.#fd, CTL.DEL, fd, this.#one);
  }

  /** Blocks up to `timeoutMs` (-1: for ever) and calls back for each ready descriptor. Returns how many there were. */
  wait(timeoutMs: number, ready: (fd: number, events: number) => void): number {
    const count = libc.epoll_wait(this.#fd, this.#events, this.#capacity, timeoutMs);
    if (count < 0) {
      const code = errno();
      if (code === 4) return 0;
      throw new SysError("epoll_wait", code);
    }
    for (let i = 0; i < count; i++)
      ready(this.#view.getInt32(i * SIZE + DATA, true), this.#view.getUint32(i * SIZE, true));
    return count;
  }

  close(): void {
    close(this.#fd);
  }
}
