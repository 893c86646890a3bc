import { amount, type Emit, shortDigest, step } from "@gantry/distribution";
import { familiarString, invalidParameter, parseReference, withDefaultTag, withTag } from "@gantry/spec";
import { imageFor } from "./platform.ts";
import { type ImageRoom, imageEvent } from "./room.ts";

export interface LoadRequest {
  source: ReadableStream<Uint8Array>;
  quiet?: boolean;
  platform?: string;
  signal?: AbortSignal;
}

/** `docker load`: says what was loaded in Docker's words. */
export async function load(room: ImageRoom, request: LoadRequest, emit: Emit): Promise<void> {
  const { images } = room.storage;
  const before = new Map(images.list().flatMap((image) => image.tags.map((tag) => [tag, image.id] as const)));
  const loaded = await images.load(request.source, {
    platform: request.platform,
    signal: request.signal,
    onProgress: request.quiet
      ? undefined
      : ({ id, status, current, total }) => {
          const short = shortDigest(id);
          emit(current === undefined ? step(short, status) : amount(short, status, current, total ?? 0));
        },
  });
  for (const { id, tags } of loaded) {
    const image = images.get(id);
    for (const tag of tags) {
      const old = before.get(tag);
      if (old && old !== id) {
        emit({ stream: `The image ${tag} already exists, renaming the old one with ID ${old} to empty string\n` });
      }
      emit({ stream: `Loaded image: ${tag}\n` });
    }
    if (tags.length === 0) emit({ stream: `Loaded image ID: ${id}\n` });
    imageEvent(room, "load", image, id, id);
  }
}

/**
 * `docker save` of these images, or of what was pulled of a platform under their names. Throws notFound before anything
 * is written where one of them is not here.
 */
export async function save(
  room: ImageRoom,
  names: string[],
  { platform }: { platform?: string } = {},
): Promise<ReadableStream<Uint8Array>> {
  const selected = await Promise.all(
    room.storage.images.select(names).map(async ({ image, tags }) => {
      return { image: await imageFor(room, tags[0] ?? image.id, platform), tags };
    }),
  );
  const stream = room.storage.images.save(selected, () => {
    if (selected.some(({ image }) => room.storage.images.get(image.id) === null)) room.collectSoon();
  });
  for (const { image } of selected) imageEvent(room, "save", image, image.id, image.id);
  return stream;
}

/** `docker tag`. */
export function tag(room: ImageRoom, name: string, repository: string, tagName: string): void {
  const image = room.storage.images.resolve(name);
  const given = parseReference(repository);
  if (given.digest) throw invalidParameter("refusing to create a tag with a digest reference");
  const target = familiarString(tagName ? withTag(given, tagName) : withDefaultTag(given));
  room.storage.images.tag(image.id, target);
  imageEvent(room, "tag", image, image.id, target);
}
