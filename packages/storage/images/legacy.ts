import { type Digest, invalidParameter } from "@gantry/spec";
import { parseObject } from "./config.ts";
import type { Candidate } from "./load.ts";
import type { Members } from "./members.ts";

const MAX_DEPTH = 500;
/** Of a v1 description, what an image config does not carry. */
const DROPPED = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/**
 * Archives from before Docker 1.10: `repositories` names the topmost layer of each tag, and each layer's folder has `json`
 * (its description, with its parent) and `layer.tar`. The configs that Docker makes of them need the layers' digests,
 * so these are placeholders here, filled by `legacyConfig` once the layers are known.
 */
export function legacyImages(members: Members): Candidate[] {
  const repositories = members.json.get("repositories");
  if (!repositories) throw invalidParameter("invalid archive: no manifest.json, index.json or repositories in it");
  const tops = new Map<string, string[]>();
  for (const [repository, tags] of Object.entries(parseObject(repositories, "repositories"))) {
    if (typeof tags !== "object" || tags === null) throw invalidParameter("invalid repositories");
    for (const [tag, id] of Object.entries(tags)) {
      if (typeof id !== "string" || !/^[0-9a-f]{64}$/.test(id)) throw invalidParameter("invalid repositories");
      tops.set(id, [...(tops.get(id) ?? []), `${repository}:${tag}`]);
    }
  }
  return [...tops].map(([top, tags]) => {
    const chain: { id: string; json: Record<string, unknown> }[] = [];
    for (let id: unknown = top; typeof id === "string" && id !== ""; id = chain.at(-1)!.json["parent"]) {
      const bytes = members.json.get(`${id}/json`);
      if (!bytes) throw invalidParameter(`invalid archive: no such file: ${id.slice(0, 100)}/json`);
      if (chain.length >= MAX_DEPTH) throw invalidParameter("max depth exceeded");
      chain.push({ id, json: parseObject(bytes, `${id}/json`) });
    }
    chain.reverse();
    return {
      layers: chain.map(({ id }) => `${id}/layer.tar`),
      tags,
      config: (diffIds) =>
        legacyConfig(
          chain.map(({ json }) => json),
          diffIds,
        ),
    };
  });
}

/** The image config that Docker derives from v1 descriptions (bottommost first), byte for byte as Go writes it. */
function legacyConfig(chain: Record<string, unknown>[], diffIds: Digest[]): Uint8Array {
  const config = { ...chain.at(-1)! };
  for (const key of DROPPED) delete config[key];
  config["rootfs"] = { type: "layers", diff_ids: diffIds };
  config["history"] = chain.map((json) => {
    const container = json["container_config"] as { Cmd?: unknown } | undefined;
    const command = Array.isArray(container?.Cmd) ? container.Cmd.join(" ") : "";
    return {
      created: json["created"],
      ...(json["author"] ? { author: json["author"] } : {}),
      ...(command ? { created_by: command } : {}),
      ...(json["comment"] ? { comment: json["comment"] } : {}),
    };
  });
  const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
  const escaped = JSON.stringify(sorted).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return new TextEncoder().encode(escaped);
}
