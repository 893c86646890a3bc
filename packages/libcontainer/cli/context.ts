import type { CgroupManager } from "../cgroups/index.ts";
import type { Store } from "./store.ts";

/** What every command works with. */
export interface Context {
  store: Store;
  cgroups: CgroupManager;
  shimPath: string;
  print(text: string): void;
  /** Tells of something that went wrong without changing the outcome. */
  warn(error: unknown): void;
}
