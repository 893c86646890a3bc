import { createHash } from "node:crypto";
import { type Descriptor, type Digest, isDigest, parseJson, type Reference, systemError } from "@gantry/spec";
import { readAtMost } from "./body.ts";
import { digestLike, MANIFEST_ACCEPT, MAX_MANIFEST, type Manifest, parseManifest } from "./manifest.ts";
import type { Repository } from "./repository.ts";
import { type Backoff, retrying, TransientError } from "./retry.ts";

/**
 * Fetches a manifest by tag or digest and checks its digest. Altered and cut bodies are tried again. `name` stands in
 * messages. Throws a RegistryError (404 MANIFEST_UNKNOWN and its like) or systemError for a digest that never fits.
 */
export function fetchManifest(
  repository: Repository,
  tagOrDigest: string,
  name: string,
  options: { signal?: AbortSignal; backoff?: Backoff; stall?: number } = {},
): Promise<Manifest> {
  return retrying(async () => {
    const response = await repository.expect([200], `manifests/${tagOrDigest}`, {
      headers: { accept: MANIFEST_ACCEPT },
      signal: options.signal,
    });
    const bytes = await readAtMost(response, MAX_MANIFEST, options.stall);
    const stated = response.headers.get("docker-content-digest");
    const wanted = isDigest(tagOrDigest) ? tagOrDigest : stated && isDigest(stated) ? stated : undefined;
    if (wanted && digestLike(wanted, bytes) !== wanted) {
      const error = systemError(`manifest verification failed for digest ${wanted}`);
      throw new TransientError(error.message, { cause: error });
    }
    const manifest = parseManifest(bytes, response.headers.get("content-type") ?? "", name);
    if (wanted) manifest.descriptor.digest = wanted;
    return manifest;
  }, options);
}

/** Asks only for the descriptor (HEAD), or null where the registry has no such manifest. */
export async function headManifest(
  repository: Repository,
  tagOrDigest: string,
  signal?: AbortSignal,
): Promise<Descriptor | null> {
  const response = await repository.expect([200, 404], `manifests/${tagOrDigest}`, {
    method: "HEAD",
    headers: { accept: MANIFEST_ACCEPT },
    signal,
  });
  await response.body?.cancel();
  const digest = response.headers.get("docker-content-digest");
  const size = Number(response.headers.get("content-length"));
  if (response.status === 404 || !digest || !isDigest(digest)) return null;
  return { mediaType: response.headers.get("content-type")?.split(";")[0] ?? "", digest, size };
}

/** A small blob (a config), whole and verified. */
export function fetchSmallBlob(
  repository: Repository,
  descriptor: Descriptor,
  limit: number,
  options: { signal?: AbortSignal; backoff?: Backoff; stall?: number } = {},
): Promise<Uint8Array> {
  return retrying(async () => {
    const response = await repository.expect([200], `blobs/${descriptor.digest}`, { signal: options.signal });
    const bytes = await readAtMost(response, Math.min(limit, descriptor.size), options.stall).catch((error) => {
      throw error instanceof TransientError ? error : new TransientError(String(error), { cause: error });
    });
    if (bytes.length !== descriptor.size || digestLike(descriptor.digest, bytes) !== descriptor.digest) {
      const error = systemError(`image config verification failed for digest ${descriptor.digest}`);
      throw new TransientError(error.message, { cause: error });
    }
    return bytes;
  }, options);
}

/** All tags of a repository, following the pages (distribution spec, "Listing Tags"). */
export async function fetchTags(repository: Repository, signal?: AbortSignal): Promise<string[]> {
  const tags = new Set<string>();
  let next: string | null = "tags/list";
  for (let page = 0; next !== null && page < 1000; page++) {
    const response: Response = await repository.expect([200], next, { signal });
    const body = parseJson(new TextDecoder().decode(await readAtMost(response, MAX_MANIFEST))) as { tags?: unknown };
    for (const tag of Array.isArray(body.tags) ? body.tags : []) if (typeof tag === "string") tags.add(tag);
    next = nextPage(response.headers.get("link"), repository.url("tags/list"));
  }
  return [...tags];
}

function nextPage(link: string | null, base: string): string | null {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(link ?? "")?.[1];
  if (!target) return null;
  const url = new URL(target, base);
  return url.origin === new URL(base).origin ? url.href : null;
}

/** The tag or digest a reference asks for. */
export function wanted(reference: Reference): string {
  return reference.digest ?? reference.tag ?? "latest";
}

/** A running digest to compare with another one. */
export function hashFor(digest: Digest): ReturnType<typeof createHash> {
  return createHash(digest.slice(0, digest.indexOf(":")));
}
