import type { Volume, VolumeCreate, VolumeListResponse, VolumePruneResponse } from "@gantry/spec";
import type { EngineClient } from "./engine-client.ts";
import { type Filters, filtersText } from "./filters.ts";

/** Calls under /volumes. */
export class Volumes {
  #client: EngineClient;
  constructor(client: EngineClient) {
    this.#client = client;
  }

  list(filters?: Filters): Promise<VolumeListResponse> {
    return this.#client.json("GET", "/volumes", { query: { filters: filtersText(filters) } });
  }

  create(request: VolumeCreate): Promise<Volume> {
    return this.#client.json("POST", "/volumes/create", { json: request });
  }

  async inspect(name: string): Promise<Volume> {
    return JSON.parse(await this.inspectText(name)) as Volume;
  }

  /** The inspect document as the engine wrote it. */
  inspectText(name: string): Promise<string> {
    return this.#client.text("GET", `/volumes/${encodeURIComponent(name)}`);
  }

  async remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#client.text("DELETE", `/volumes/${encodeURIComponent(name)}`, {
      query: { force: options.force || undefined },
    });
  }

  prune(filters?: Filters): Promise<VolumePruneResponse> {
    return this.#client.json("POST", "/volumes/prune", { query: { filters: filtersText(filters) } });
  }
}
