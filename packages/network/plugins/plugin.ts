import { existsSync, readFileSync, statSync } from "node:fs";
import { notFound, systemError, unavailable } from "@gantry/spec";

/** Where plugins announce themselves (Docker's plugin discovery): sockets first, then files that name an address. */
export const PLUGIN_SOCKETS = "/run/docker/plugins";
export const PLUGIN_SPECS = ["/etc/docker/plugins", "/usr/lib/docker/plugins"];

const MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json";
const TIMEOUT_MS = 30_000;
const ANSWER_AT_MOST = 4 << 20;

interface Address {
  unix?: string;
  url: string;
  tls?: { ca?: string; cert?: string; key?: string; rejectUnauthorized: boolean };
}

/** A plugin process that answers JSON over HTTP (Docker's legacy plugin protocol). */
export class Plugin {
  private constructor(
    readonly name: string,
    private readonly address: Address,
    readonly implementsList: string[],
  ) {}

  /** Finds and activates a plugin. Throws notFound where none of the name is announced or it does not do `subsystem`. */
  static async find(name: string, subsystem: string, places?: { sockets: string; specs: string[] }): Promise<Plugin> {
    const address = /^[\w.-]+$/.test(name) ? discover(name, places) : undefined;
    if (address === undefined) throw notFound(`plugin ${JSON.stringify(name)} not found`);
    const draft = new Plugin(name, address, []);
    const answer = (await draft.call("Plugin.Activate", {})) as { Implements?: string[] };
    const list = answer.Implements ?? [];
    if (!list.includes(subsystem)) throw notFound(`plugin ${JSON.stringify(name)} does not implement ${subsystem}`);
    return new Plugin(name, address, list);
  }

  /** One call, `Subsystem.Method`. Throws GantryError with the plugin's own words, or unavailable where it does not answer. */
  async call(method: string, body: unknown): Promise<Record<string, unknown>> {
    let text: string;
    let ok: boolean;
    try {
      const { unix, url, tls } = this.address;
      const response = await fetch(`${url}/${method}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { accept: MEDIA_TYPE, "content-type": MEDIA_TYPE },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: "error",
        ...(unix === undefined ? {} : { unix }),
        ...(tls === undefined ? {} : { tls }),
      });
      ok = response.ok;
      text = await bounded(response);
    } catch (error) {
      throw unavailable(`plugin ${this.name}: ${method}: ${(error as Error).message}`, error);
    }
    let answer: unknown;
    try {
      answer = text.trim() === "" ? {} : JSON.parse(text);
    } catch (error) {
      if (ok) throw systemError(`plugin ${this.name}: ${method}: the answer is not JSON`, error);
      answer = {};
    }
    const object = (typeof answer === "object" && answer !== null ? answer : {}) as Record<string, unknown>;
    const refusal = object["Err"] ?? object["err"];
    if (typeof refusal === "string" && refusal !== "") throw systemError(`${method}: ${refusal}`);
    if (!ok) throw systemError(`${method}: ${text.slice(0, 500).trim()}`);
    return object;
  }
}

async function bounded(response: Response): Promise<string> {
  if (response.body === null) return "";
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body) {
    size += part.length;
    if (size > ANSWER_AT_MOST) throw new Error("the answer is too large");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function discover(name: string, places = { sockets: PLUGIN_SOCKETS, specs: PLUGIN_SPECS }): Address | undefined {
  for (const path of [`${places.sockets}/${name}.sock`, `${places.sockets}/${name}/${name}.sock`]) {
    if (existsSync(path) && statSync(path).isSocket()) return { unix: path, url: "http://plugin" };
  }
  for (const folder of places.specs) {
    for (const base of [`${folder}/${name}`, `${folder}/${name}/${name}`]) {
      if (existsSync(`${base}.spec`)) return parseAddress(readFileSync(`${base}.spec`, "utf8").trim());
      if (!existsSync(`${base}.json`)) continue;
      const spec = JSON.parse(readFileSync(`${base}.json`, "utf8")) as {
        Addr?: string;
        TLSConfig?: { InsecureSkipVerify?: boolean; CAFile?: string; CertFile?: string; KeyFile?: string };
      };
      const address = parseAddress(spec.Addr ?? "");
      if (address === undefined || spec.TLSConfig === undefined) return address;
      const { InsecureSkipVerify, CAFile, CertFile, KeyFile } = spec.TLSConfig;
      address.url = address.url.replace(/^http:/, "https:");
      address.tls = {
        rejectUnauthorized: InsecureSkipVerify !== true,
        ...(CAFile ? { ca: readFileSync(CAFile, "utf8") } : {}),
        ...(CertFile ? { cert: readFileSync(CertFile, "utf8") } : {}),
        ...(KeyFile ? { key: readFileSync(KeyFile, "utf8") } : {}),
      };
      return address;
    }
  }
  return undefined;
}

function parseAddress(text: string): Address | undefined {
  if (text.startsWith("unix://")) return { unix: text.slice(7), url: "http://plugin" };
  const tcp = /^(?:tcp|http):\/\/([^/\s]+)\/?$/.exec(text);
  if (tcp !== null) return { url: `http://${tcp[1]}` };
  return /^https:\/\/[^/\s]+\/?$/.test(text) ? { url: text.replace(/\/$/, "") } : undefined;
}
