import { attestationsOf } from "@gantry/distribution";
import { type AttestationStatement, type Descriptor, type Digest, notFound } from "@gantry/spec";
import { indexesOf, readManifest } from "./manifests.ts";
import { imageFor } from "./platform.ts";
import type { ImageRoom } from "./room.ts";

/** The annotation by which BuildKit names what a statement's layer is about. */
const PREDICATE_TYPE = "in-toto.io/predicate-type";

export interface AttestationQuery {
  /** `os/arch[/variant]`; the name's image where absent. */
  platform?: string | undefined;
  /** Only statements of these predicate types; all where empty. */
  types: string[];
}

/**
 * The in-toto statements that came with an image: what each is about, without its text. Empty where nothing attests to
 * it. Throws notFound for an image that is not here, and where it was pulled without what attests to it.
 */
export async function attestations(
  room: ImageRoom,
  name: string,
  { platform, types }: AttestationQuery,
): Promise<AttestationStatement[]> {
  const image = await imageFor(room, name, platform);
  const entries = new Map<Digest, Descriptor>();
  // Of several platforms that were pulled under a name, one image has it.
  const indexes = [image, room.storage.images.resolve(name)].map((one) => indexesOf(room, one));
  for (const { index } of (await Promise.all(indexes)).flat()) {
    if (image.manifest === undefined) continue;
    for (const entry of attestationsOf(index, image.manifest.digest)) entries.set(entry.digest, entry);
  }
  const statements: AttestationStatement[] = [];
  for (const digest of entries.keys()) {
    const manifest = await readManifest(room, digest);
    if (manifest?.kind !== "image") throw notFound(`attestation manifest ${digest} is not available locally`);
    for (const layer of manifest.image.layers) {
      const type = layer.annotations?.[PREDICATE_TYPE];
      if (typeof type !== "string" || type === "" || (types.length > 0 && !types.includes(type))) continue;
      statements.push({ Descriptor: layer, PredicateType: type });
    }
  }
  return statements;
}

/** A statement's JSON, as it was signed or built. Throws notFound where it is not here. */
export async function attestationText(room: ImageRoom, statement: AttestationStatement): Promise<string> {
  const digest = statement.Descriptor.digest as Digest;
  if (!room.storage.content.has(digest)) throw notFound(`attestation statement ${digest} is not available locally`);
  return new TextDecoder().decode(await room.storage.content.read(digest));
}
