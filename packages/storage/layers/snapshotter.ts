import type { Change, ContainerLayer, RootView } from "../contract.ts";

/**
 * How a container's root comes from unpacked layers. `overlay2` stacks them; `vfs` copies, for file systems that overlay
 * cannot write to. Everything above this works with either; a container keeps the one it was made with.
 *
 * `lower` is always the layers' directories, topmost first, the init layer last; `upper` and `work` are the
 * container's own, existing and empty when `prepare` is called.
 */
export interface Snapshotter {
  readonly name: DriverName;
  /** Called once for a new container. */
  prepare(lower: string[], upper: string): Promise<void>;
  /** What the runtime mounts. */
  layer(lower: string[], upper: string, work: string): ContainerLayer;
  view(lower: string[], upper: string, work: string, readonly: boolean): Promise<RootView>;
  viewImage(lower: string[]): Promise<RootView>;
  changes(lower: string[], upper: string): Promise<Change[]>;
  /**
   * The container's changes as a directory that is a valid layer (overlay's whiteouts): its own writable one, or a
   * temporary one that the caller moves away or throws away.
   */
  diff(lower: string[], upper: string): Promise<{ path: string; temporary: boolean }>;
}

export type DriverName = "overlay2" | "vfs";
