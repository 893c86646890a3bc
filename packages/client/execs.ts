import type { ExecConfig, ExecInspect, IDResponse } from "@gantry/spec";
import type { EngineClient } from "./engine-client.ts";
import type { HijackedStream } from "./hijack.ts";

/** Calls for processes started in running containers. */
export class Execs {
  #client: EngineClient;
  constructor(client: EngineClient) {
    this.#client = client;
  }

  create(container: string, config: ExecConfig): Promise<IDResponse> {
    return this.#client.json("POST", `/containers/${encodeURIComponent(container)}/exec`, { json: config });
  }

  /** Starts it and takes the connection for its streams. */
  attach(
    id: string,
    options: { tty?: boolean; consoleSize?: [rows: number, columns: number] } = {},
  ): Promise<HijackedStream> {
    return this.#client.hijack("POST", `/exec/${encodeURIComponent(id)}/start`, {
      json: { Detach: false, Tty: options.tty ?? false, ...size(options.consoleSize) },
    });
  }

  /** Starts it in the background. */
  async start(
    id: string,
    options: { tty?: boolean; consoleSize?: [rows: number, columns: number] } = {},
  ): Promise<void> {
    await this.#client.text("POST", `/exec/${encodeURIComponent(id)}/start`, {
      json: { Detach: true, Tty: options.tty ?? false, ...size(options.consoleSize) },
    });
  }

  inspect(id: string): Promise<ExecInspect> {
    return this.#client.json("GET", `/exec/${encodeURIComponent(id)}/json`);
  }

  async resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    await this.#client.text("POST", `/exec/${encodeURIComponent(id)}/resize`, {
      query: { h: size.rows, w: size.columns },
    });
  }
}

function size(consoleSize: [number, number] | undefined): { ConsoleSize?: [number, number] } {
  return consoleSize ? { ConsoleSize: consoleSize } : {};
}
