import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "@gantry/spec";
import type { LayerStore, RootView } from "@gantry/storage";
import { readUserFiles, type UserFiles } from "../exec/users.ts";
import { DiskTree, type SourceTree } from "../tree/source-tree.ts";

/** Chains of layers as read-only trees, each opened once in a build, when it is first looked into. */
export class LayerTrees {
  private readonly open = new Map<string, Promise<LayerTree>>();
  private readonly userFiles = new Map<string, Promise<UserFiles>>();

  constructor(private readonly layers: LayerStore) {}

  get(chain: Digest[]): Promise<LayerTree> {
    const key = chain.join(",");
    let tree = this.open.get(key);
    if (!tree) {
      tree = this.layers.viewImage(chain, { bare: true }).then((view) => new LayerTree(view));
      this.open.set(key, tree);
    }
    return tree;
  }

  /** Users of a root file system. Layers that have nothing in /etc do not change them, and are not looked through. */
  users(chain: Digest[]): Promise<UserFiles> {
    let end = chain.length;
    while (end > 0 && !existsSync(join(this.layers.get(chain[end - 1]!).dir, "etc"))) end--;
    const relevant = chain.slice(0, end);
    const key = relevant.join(",");
    let files = this.userFiles.get(key);
    if (!files) {
      files = this.get(relevant).then((tree) => readUserFiles(tree.fd));
      this.userFiles.set(key, files);
    }
    return files;
  }

  async close(): Promise<void> {
    const trees = await Promise.allSettled(this.open.values());
    this.open.clear();
    for (const tree of trees) if (tree.status === "fulfilled") tree.value.close();
  }
}

export class LayerTree extends DiskTree implements SourceTree {
  readonly context = false;

  constructor(private readonly view: RootView) {
    super(view.fd, null);
  }

  async root(): Promise<number> {
    return this.fd;
  }

  close(): void {
    this.dispose();
    this.view.close();
  }
}
