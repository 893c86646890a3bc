import type { Descriptor, Digest, ImageIndex } from "@gantry/spec";
import type { Lease, Storage } from "@gantry/storage";
import { isAttestation } from "./platform.ts";
import type { Repository } from "./repository.ts";
import { fetchManifest, fetchSmallBlob } from "./resolve.ts";
import type { Backoff } from "./retry.ts";

/** Statements of one manifest, and bytes of one and of all: the list of a big image's packages has some megabytes. */
const MAX_STATEMENTS = 64;
const MAX_STATEMENT = 16 << 20;
const MAX_TOTAL = 64 << 20;

/** The entries of an index that attest to one of its manifests (BuildKit, docs/attestations/attestation-storage.md). */
export function attestationsOf(index: ImageIndex, manifest: Digest): Descriptor[] {
  return index.manifests.filter(
    (entry) => isAttestation(entry) && entry.annotations?.["vnd.docker.reference.digest"] === manifest,
  );
}

export interface AttestationFetch {
  storage: Storage;
  lease: Lease;
  repositories: readonly Repository[];
  /** For messages: what is pulled. */
  name: string;
  fetching: { signal?: AbortSignal; backoff: Backoff; stall: number };
}

/**
 * Brings what attests to an image into the content store: manifests, configs and statements. The image is good without
 * them, so what cannot be had is left out; throws only where the signal fires.
 */
export async function bringAttestations(room: AttestationFetch, entries: readonly Descriptor[]): Promise<void> {
  for (const entry of entries) {
    try {
      await bringOne(room, entry.digest);
    } catch {
      room.fetching.signal?.throwIfAborted();
    }
  }
}

async function bringOne({ storage, lease, repositories, name, fetching }: AttestationFetch, digest: Digest) {
  const { content } = storage;
  const [repository] = repositories;
  if (repository === undefined) return;
  lease.add(digest);
  // The parts come first: a manifest that is here is whole.
  if (content.has(digest)) return;
  const manifest = await fetchManifest(repository, digest, name, fetching);
  if (manifest.kind !== "image" || manifest.image.layers.length > MAX_STATEMENTS) return;
  const parts = [manifest.image.config, ...manifest.image.layers];
  if (parts.some(({ size }) => size > MAX_STATEMENT)) return;
  if (parts.reduce((sum, { size }) => sum + size, 0) > MAX_TOTAL) return;
  for (const part of parts) {
    lease.add(part.digest);
    if (!content.has(part.digest)) await content.put(await fetchSmallBlob(repository, part, MAX_STATEMENT, fetching));
  }
  await content.put(manifest.bytes);
}
