import type {
  EndpointSettings,
  NetworkCreateRequest,
  NetworkCreateResponse,
  NetworkInspect,
  NetworkPruneResponse,
  NetworkSummary,
} from "@gantry/spec";
import type { EngineClient } from "./engine-client.ts";
import { type Filters, filtersText } from "./filters.ts";

/** Calls under /networks. */
export class Networks {
  #client: EngineClient;
  constructor(client: EngineClient) {
    this.#client = client;
  }

  list(filters?: Filters): Promise<NetworkSummary[]> {
    return this.#client.json("GET", "/networks", { query: { filters: filtersText(filters) } });
  }

  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse> {
    return this.#client.json("POST", "/networks/create", { json: request });
  }

  async inspect(id: string, options: { verbose?: boolean; scope?: string } = {}): Promise<NetworkInspect> {
    return JSON.parse(await this.inspectText(id, options)) as NetworkInspect;
  }

  /** The inspect document as the engine wrote it. */
  inspectText(id: string, options: { verbose?: boolean; scope?: string } = {}): Promise<string> {
    return this.#client.text("GET", at(id), {
      query: { verbose: options.verbose ? "true" : undefined, scope: options.scope || undefined },
    });
  }

  async remove(id: string): Promise<void> {
    await this.#client.text("DELETE", at(id));
  }

  async connect(id: string, container: string, endpoint?: EndpointSettings): Promise<void> {
    await this.#client.text("POST", `${at(id)}/connect`, {
      json: { Container: container, ...(endpoint ? { EndpointConfig: endpoint } : {}) },
    });
  }

  async disconnect(id: string, container: string, force = false): Promise<void> {
    await this.#client.text("POST", `${at(id)}/disconnect`, { json: { Container: container, Force: force } });
  }

  prune(filters?: Filters): Promise<NetworkPruneResponse> {
    return this.#client.json("POST", "/networks/prune", { query: { filters: filtersText(filters) } });
  }
}

function at(id: string): string {
  return `/networks/${encodeURIComponent(id)}`;
}
