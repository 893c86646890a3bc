import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DEFAULT_REGISTRY_CONFIG,
  type Distribution,
  openDistribution,
  type RegistryConfig,
} from "@gantry/distribution";
import { Filters, type Images, type ImageUser, openDatabase, openImages } from "@gantry/engine";
import type { ProgressMessage } from "@gantry/spec";
import { openStorage, type Storage } from "@gantry/storage";

export interface TestEvent {
  action: string;
  id: string;
  attributes: Record<string, string>;
}

/** The image half of an engine, on a data root of its own. */
export class TestEngine {
  readonly root = mkdtempSync(join(tmpdir(), "gantry-images-"));
  readonly storage: Storage & { settled(): Promise<void> };
  readonly distribution: Distribution;
  readonly images: Images;
  readonly events: TestEvent[] = [];
  /** Containers by image ID. */
  readonly users = new Map<string, ImageUser[]>();
  config: RegistryConfig;

  constructor(config: Partial<RegistryConfig> = {}) {
    // Nothing of this machine's own certs.d, quick retries.
    this.config = {
      ...DEFAULT_REGISTRY_CONFIG,
      certificateDirs: [],
      retryDelay: 10,
      stallTimeout: 3000,
      ...config,
    };
    this.storage = openStorage({ root: this.root, db: openDatabase(join(this.root, "test.db")) });
    this.distribution = openDistribution({ storage: this.storage, config: () => this.config });
    this.images = openImages({
      storage: this.storage,
      distribution: this.distribution,
      events: { emit: (_, action, id, attributes) => this.events.push({ action, id, attributes }) },
      containersUsing: (id) => this.users.get(id) ?? [],
    });
  }

  /** Pulls; returns what was said. */
  async pull(image: string, options: Partial<Parameters<Images["pull"]>[0]> = {}): Promise<ProgressMessage[]> {
    const said: ProgressMessage[] = [];
    await this.images.pull({ image, ...options }, (message) => said.push(message));
    return said;
  }

  async push(image: string, options: Partial<Parameters<Images["push"]>[0]> = {}): Promise<ProgressMessage[]> {
    const said: ProgressMessage[] = [];
    await this.images.push({ image, ...options }, (message) => said.push(message));
    return said;
  }

  /** Every listed image has all its files; nothing is half there. */
  async check(): Promise<void> {
    for (const image of await this.images.list({ filters: new Filters(), all: true })) {
      const { RootFS } = await this.images.inspect(image.Id);
      for (const layer of RootFS.Layers ?? []) {
        const { dir } = this.storage.layers.get(layer as `sha256:${string}`);
        if (!existsSync(dir)) throw new Error(`listed image ${image.Id} lacks layer ${layer}`);
      }
      await this.storage.content.read(image.Id as `sha256:${string}`);
    }
  }

  async close(): Promise<void> {
    await this.storage.settled();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The texts of a progress stream, numbers left out. */
export function statuses(said: readonly ProgressMessage[]): string[] {
  return said.map(({ id, status }) => (id ? `${id}: ${status}` : (status ?? "")));
}
