import type { Digest } from "@gantry/spec";
import type { LayerStore, RootView } from "@gantry/storage";
import { readUserFiles, type UserFiles } from "../exec/users.ts";
import type { StepBase } from "../exec/run.ts";
import { DiskTree, type SourceTree } from "../tree/source-tree.ts";

/** Chains of layers as read-only trees, each opened once in a build. */
export class LayerTrees {
  private readonly open = new Map<string, Promise<LayerTree>>();

  constructor(private readonly layers: LayerStore) {}

  get(chain: Digest[]): Promise<LayerTree> {
    const key = chain.join(",");
    let tree = this.open.get(key);
    if (!tree) {
      tree = this.layers.viewImage(chain).then((view) => new LayerTree(chain, view));
      this.open.set(key, tree);
    }
    return tree;
  }

  async close(): Promise<void> {
    const trees = await Promise.allSettled(this.open.values());
    this.open.clear();
    for (const tree of trees) if (tree.status === "fulfilled") tree.value.close();
  }
}

export class LayerTree extends DiskTree implements SourceTree, StepBase {
  readonly linkable = false;
  readonly context = false;
  private userFiles: UserFiles | undefined;

  constructor(
    readonly layers: Digest[],
    private readonly view: RootView,
  ) {
    super(view.fd, null);
  }

  async root(): Promise<number> {
    return this.fd;
  }

  users(): UserFiles {
    this.userFiles ??= readUserFiles(this.fd);
    return this.userFiles;
  }

  close(): void {
    this.view.close();
  }
}
