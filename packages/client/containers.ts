import type {
  Change,
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspect,
  ContainerPathStat,
  ContainerPruneResponse,
  ContainerStats,
  ContainerSummary,
  IDResponse,
  TopResponse,
  UpdateConfig,
  UpdateResponse,
  WaitResponse,
} from "@gantry/spec";
import type { EngineClient } from "./engine-client.ts";
import { drain, readText } from "./engine-client.ts";
import { type Filters, filtersText } from "./filters.ts";
import type { HijackedStream } from "./hijack.ts";
import type { HttpResponse } from "./http.ts";
import { jsonStream } from "./json-stream.ts";

export interface LogOptions {
  stdout?: boolean;
  stderr?: boolean;
  follow?: boolean;
  /** Seconds since 1970, with a fraction, as text. */
  since?: string;
  until?: string;
  timestamps?: boolean;
  tail?: string;
  details?: boolean;
  signal?: AbortSignal;
}

export interface AttachOptions {
  stream?: boolean;
  stdin?: boolean;
  stdout?: boolean;
  stderr?: boolean;
  logs?: boolean;
  detachKeys?: string;
  signal?: AbortSignal;
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

/** Calls under /containers. `id` is an ID, a unique prefix of one, or a name. */
export class Containers {
  #client: EngineClient;
  constructor(client: EngineClient) {
    this.#client = client;
  }

  list(
    options: { all?: boolean; limit?: number; size?: boolean; filters?: Filters } = {},
  ): Promise<ContainerSummary[]> {
    const { all, limit, size, filters } = options;
    return this.#client.json("GET", "/containers/json", {
      query: { all: all || undefined, limit, size: size || undefined, filters: filtersText(filters) },
    });
  }

  create(
    config: ContainerCreateRequest,
    options: { name?: string; platform?: string; signal?: AbortSignal } = {},
  ): Promise<ContainerCreateResponse> {
    return this.#client.json("POST", "/containers/create", {
      query: { name: options.name || undefined, platform: options.platform || undefined },
      json: config,
      ...pick(options.signal),
    });
  }

  async inspect(id: string, options: { size?: boolean } = {}): Promise<ContainerInspect> {
    return JSON.parse(await this.inspectText(id, options)) as ContainerInspect;
  }

  /** The inspect document as the engine wrote it, so that nothing of it gets lost. */
  inspectText(id: string, options: { size?: boolean } = {}): Promise<string> {
    return this.#client.text("GET", at(id, "json"), { query: { size: options.size || undefined } });
  }

  start(id: string, options: { detachKeys?: string; checkpoint?: string; checkpointDir?: string } = {}): Promise<void> {
    return this.#post(id, "start", {
      detachKeys: options.detachKeys || undefined,
      checkpoint: options.checkpoint || undefined,
      "checkpoint-dir": options.checkpointDir || undefined,
    });
  }

  /** `timeout` in seconds; -1 waits for ever; undefined: the container's own. */
  stop(id: string, options: { timeout?: number; signal?: string } = {}): Promise<void> {
    return this.#post(id, "stop", { t: options.timeout, signal: options.signal || undefined });
  }

  restart(id: string, options: { timeout?: number; signal?: string } = {}): Promise<void> {
    return this.#post(id, "restart", { t: options.timeout, signal: options.signal || undefined });
  }

  kill(id: string, signal?: string): Promise<void> {
    return this.#post(id, "kill", { signal: signal || undefined });
  }

  pause(id: string): Promise<void> {
    return this.#post(id, "pause");
  }

  unpause(id: string): Promise<void> {
    return this.#post(id, "unpause");
  }

  rename(id: string, name: string): Promise<void> {
    return this.#post(id, "rename", { name });
  }

  resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    return this.#post(id, "resize", { h: size.rows, w: size.columns });
  }

  async remove(id: string, options: { force?: boolean; volumes?: boolean; link?: boolean } = {}): Promise<void> {
    const { force, volumes, link } = options;
    await this.#client.text("DELETE", `/containers/${encodeURIComponent(id).replaceAll("%2F", "/")}`, {
      query: { force: force || undefined, v: volumes || undefined, link: link || undefined },
    });
  }

  /**
   * Waits for a container's end. The outer promise resolves once the engine has registered the wait (so that a start
   * may follow without a race), `done` in it with the exit.
   */
  async wait(
    id: string,
    condition: WaitCondition = "not-running",
    options: { signal?: AbortSignal } = {},
  ): Promise<{ done: Promise<WaitResponse> }> {
    const response = await this.#client.call("POST", at(id, "wait"), { query: { condition }, ...pick(options.signal) });
    const done = readText(response).then((text) => JSON.parse(text) as WaitResponse);
    done.catch(() => {});
    return { done };
  }

  attach(id: string, options: AttachOptions = {}): Promise<HijackedStream> {
    const { stream = true, stdin, stdout, stderr, logs, detachKeys, signal } = options;
    return this.#client.hijack("POST", at(id, "attach"), {
      query: {
        stream: stream || undefined,
        stdin: stdin || undefined,
        stdout: stdout || undefined,
        stderr: stderr || undefined,
        logs: logs || undefined,
        detachKeys: detachKeys || undefined,
      },
      ...pick(signal),
    });
  }

  /** The log as bytes, multiplexed where the container has no tty (see demultiplex). */
  logs(id: string, options: LogOptions = {}): Promise<HttpResponse> {
    const { signal, ...query } = options;
    return this.#client.call("GET", at(id, "logs"), { query, ...pick(signal) });
  }

  top(id: string, psArgs?: string): Promise<TopResponse> {
    return this.#client.json("GET", at(id, "top"), { query: { ps_args: psArgs } });
  }

  async diff(id: string): Promise<Change[]> {
    return (await this.#client.json<Change[] | null>("GET", at(id, "changes"))) ?? [];
  }

  /** The container's files as a tar. */
  export(id: string): Promise<HttpResponse> {
    return this.#client.call("GET", at(id, "export"));
  }

  /** Samples as they are taken, or (`stream` false) one; `oneShot` skips the second sample. */
  async stats(
    id: string,
    options: { stream?: boolean; oneShot?: boolean; signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<ContainerStats>> {
    const { stream = true, oneShot, signal } = options;
    const response = await this.#client.call("GET", at(id, "stats"), {
      query: { stream, "one-shot": oneShot || undefined },
      ...pick(signal),
    });
    return jsonStream<ContainerStats>(response.body);
  }

  update(id: string, config: UpdateConfig): Promise<UpdateResponse> {
    return this.#client.json("POST", at(id, "update"), { json: config });
  }

  prune(filters?: Filters): Promise<ContainerPruneResponse> {
    return this.#client.json("POST", "/containers/prune", { query: { filters: filtersText(filters) } });
  }

  commit(
    id: string,
    options: {
      repo?: string;
      tag?: string;
      comment?: string;
      author?: string;
      pause?: boolean;
      changes?: string[];
      config?: unknown;
    },
  ): Promise<IDResponse> {
    const { repo, tag, comment, author, pause, changes, config } = options;
    return this.#client.json("POST", "/commit", {
      query: { container: id, repo, tag, comment, author, pause: pause === false ? false : undefined, changes },
      json: config ?? {},
    });
  }

  /** What is at a path of the container. */
  async stat(id: string, path: string): Promise<ContainerPathStat> {
    const response = await this.#client.call("HEAD", at(id, "archive"), { query: { path } });
    await drain(response);
    return pathStat(response);
  }

  /** A path of the container as a tar. */
  async getArchive(id: string, path: string): Promise<{ stat: ContainerPathStat; body: AsyncIterable<Uint8Array> }> {
    const response = await this.#client.call("GET", at(id, "archive"), { query: { path } });
    return { stat: pathStat(response), body: response.body };
  }

  /** Unpacks a tar into a directory of the container. */
  async putArchive(
    id: string,
    path: string,
    tar: Uint8Array | AsyncIterable<Uint8Array>,
    options: { noOverwriteDirNonDir?: boolean; copyUIDGID?: boolean } = {},
  ): Promise<void> {
    await this.#client.text("PUT", at(id, "archive"), {
      query: {
        path,
        noOverwriteDirNonDir: options.noOverwriteDirNonDir ? "true" : undefined,
        copyUIDGID: options.copyUIDGID ? "true" : undefined,
      },
      body: tar,
    });
  }

  async #post(id: string, action: string, query?: import("./engine-client.ts").Query): Promise<void> {
    await this.#client.text("POST", at(id, action), query ? { query } : {});
  }
}

function at(id: string, action: string): string {
  return `/containers/${encodeURIComponent(id)}/${action}`;
}

function pick(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function pathStat(response: HttpResponse): ContainerPathStat {
  const header = response.headers["x-docker-container-path-stat"];
  if (!header) throw new Error("unable to decode container path stat header");
  const bytes = Uint8Array.from(atob(header), (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)) as ContainerPathStat;
}
