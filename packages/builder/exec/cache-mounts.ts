import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * The directories of `RUN --mount=type=cache`, by id. They live until they are pruned. `locked`: one step at a time has
 * it; `private`: a step that finds it in use gets another one; `shared`: all use it at once.
 */
export class CacheMounts {
  private readonly users = new Map<string, number>();
  private readonly waiting = new Map<string, (() => void)[]>();

  constructor(private readonly root: string) {
    mkdirSync(root, { recursive: true, mode: 0o700 });
  }

  /**
   * Gives a directory for the time until `release`. `fresh` says that it was just made, and is empty. `key` names it in
   * the cache's records.
   */
  async acquire(
    id: string,
    sharing: "shared" | "private" | "locked",
    signal: AbortSignal,
  ): Promise<{ key: string; path: string; fresh: boolean; release: () => void }> {
    const base = new Bun.CryptoHasher("sha256").update(id).digest("hex").slice(0, 32);
    let key = base;
    if (sharing === "private") for (let n = 1; this.inUse(key); n++) key = `${base}-${n}`;
    while (sharing === "locked" && this.inUse(key)) {
      await new Promise<void>((resolve, reject) => {
        this.waiting.set(key, [...(this.waiting.get(key) ?? []), resolve]);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      signal.throwIfAborted();
    }
    this.users.set(key, (this.users.get(key) ?? 0) + 1);
    const path = this.pathOf(key);
    const fresh = mkdirSync(path, { recursive: true, mode: 0o755 }) !== undefined;
    let held = true;
    return {
      key,
      path,
      fresh,
      release: () => {
        if (!held) return;
        held = false;
        const left = (this.users.get(key) ?? 1) - 1;
        if (left > 0) this.users.set(key, left);
        else this.users.delete(key);
        const waiters = this.waiting.get(key) ?? [];
        this.waiting.delete(key);
        for (const wake of waiters) wake();
      },
    };
  }

  inUse(key: string): boolean {
    return this.users.has(key);
  }

  pathOf(key: string): string {
    return join(this.root, key);
  }

  /** Keys of all that exist. */
  keys(): string[] {
    return readdirSync(this.root);
  }
}
