import {
  conflict,
  type Digest,
  familiarString,
  type ImageDeleteResponseItem,
  isImageIdPrefix,
  parseReference,
  withDefaultTag,
  withDigest,
} from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import { ChainUses } from "./chain.ts";
import { imageFor } from "./platform.ts";
import { type ImageName, type ImageRoom, imageEvent, namesOf, shortId } from "./room.ts";

export interface RemoveOptions {
  force?: boolean;
  /** Also removes parents that nothing refers to any more. */
  prune?: boolean;
  /** Uses of layers, where the caller has them already (a prune, for all its removals). */
  uses?: ChainUses;
}

/**
 * `rmi`, by Docker's rules: a name is taken off; with the last one the image goes, unless children, containers or (by
 * ID) several repositories stand against it. Throws conflict in Docker's words.
 */
export function remove(room: ImageRoom, text: string, options: RemoveOptions = {}): ImageDeleteResponseItem[] {
  const { force = false, prune = true, uses } = options;
  const records: ImageDeleteResponseItem[] = [];
  const image = room.storage.images.resolve(text);
  const byId = isIdOf(image.id, text);
  if (byId) {
    if (singleRepository(namesOf(image))) {
      // Forced or not, one repository's names are no conflict: they are about to go.
      const found = conflictOf(room, image, { soft: !force, names: false });
      if (found) throw found;
      untagAll(room, image, records);
    }
  } else {
    if (!force && singleRepository(namesOf(image))) {
      const [user] = room.containersUsing(image.id);
      if (user) {
        throw conflict(
          `conflict: unable to remove repository reference ${JSON.stringify(text)} (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
        );
      }
    }
    untagNamed(room, image, text, records);
    const left = room.storage.images.get(image.id);
    if (left && namesOf(left).length > 0) {
      room.collectSoon();
      return records;
    }
  }
  removeImage(room, room.storage.images.get(image.id) ?? image, records, { force, prune, uses, quiet: !byId });
  room.collectSoon();
  return records;
}

/**
 * `rmi --platform`: of the images that were pulled under this name, removes the one of that platform; the name goes only
 * with its own image. Throws notFound where none is of it, conflict where it has other names.
 */
export async function removePlatform(
  room: ImageRoom,
  text: string,
  platform: string,
  options: RemoveOptions = {},
): Promise<ImageDeleteResponseItem[]> {
  const image = await imageFor(room, text, platform);
  if (image.id === room.storage.images.resolve(text).id) return remove(room, text, options);
  // Its names are not the one that was given, so they are no business of this removal.
  if (namesOf(image).length > 0) {
    throw conflict(
      `conflict: unable to delete ${shortId(image.id)} (cannot be forced) - image is referenced in multiple repositories`,
    );
  }
  return remove(room, image.id, options);
}

function isIdOf(id: Digest, text: string): boolean {
  if (!isImageIdPrefix(text)) return false;
  return id.startsWith(text) || id.slice("sha256:".length).startsWith(text);
}

/** Whether all names lie in one repository, and at most one of them is a tag. */
function singleRepository(names: readonly ImageName[]): boolean {
  if (names.length <= 1) return true;
  const tags = names.filter(({ canonical }) => !canonical);
  if (tags.length > 1) return false;
  const repository = ({ reference }: ImageName) => `${reference.domain}/${reference.path}`;
  const canonical = new Set(names.filter((name) => name.canonical).map(repository));
  return canonical.size === 1 && canonical.has(repository(tags[0] ?? names[0]!));
}

function untag(room: ImageRoom, image: StoredImage, name: ImageName, records: ImageDeleteResponseItem[]): void {
  if (name.canonical) room.storage.images.removeDigest(name.text);
  else room.storage.images.untag(name.text);
  imageEvent(room, "untag", image, image.id, image.id);
  records.push({ Untagged: name.text });
}

function untagAll(room: ImageRoom, image: StoredImage, records: ImageDeleteResponseItem[]): void {
  for (const name of namesOf(image)) untag(room, image, name, records);
}

/** Takes off the name that was given, and the repository's digests where it was its last tag. */
function untagNamed(room: ImageRoom, image: StoredImage, text: string, records: ImageDeleteResponseItem[]): void {
  const given = parseReference(text);
  const wanted = familiarString(given.digest ? withDigest(given, given.digest) : withDefaultTag(given));
  const names = namesOf(image);
  const named = names.find((name) => name.text === wanted);
  if (!named) return;
  untag(room, image, named, records);
  if (named.canonical) return;
  const same = ({ reference }: ImageName) => reference.domain === given.domain && reference.path === given.path;
  const others = names.filter((name) => name !== named && same(name));
  if (others.every(({ canonical }) => canonical)) for (const name of others) untag(room, image, name, records);
}

function conflictOf(room: ImageRoom, image: StoredImage, look: { soft: boolean; names: boolean }): Error | undefined {
  const say = (hard: boolean, why: string) =>
    conflict(`conflict: unable to delete ${shortId(image.id)} (${hard ? "cannot" : "must"} be forced) - ${why}`);
  if (room.storage.images.children(image.id).length > 0) return say(true, "image has dependent child images");
  const users = room.containersUsing(image.id);
  const running = users.find((user) => user.running);
  if (running) return say(true, `image is being used by running container ${shortId(running.id)}`);
  if (!look.soft) return undefined;
  if (look.names && namesOf(image).length > 0) return say(false, "image is referenced in multiple repositories");
  const [stopped] = users;
  if (stopped) return say(false, `image is being used by stopped container ${shortId(stopped.id)}`);
  return undefined;
}

function removeImage(
  room: ImageRoom,
  image: StoredImage,
  records: ImageDeleteResponseItem[],
  options: { force: boolean; prune: boolean; quiet: boolean; uses: ChainUses | undefined },
): void {
  const { force, prune, quiet } = options;
  const found = conflictOf(room, image, { soft: !force, names: true });
  if (found) {
    // Its name is off already, or it is only a parent: what is still needed simply stays.
    if (quiet) return;
    throw found;
  }
  const { parent } = image;
  untagAll(room, image, records);
  const uses = options.uses ?? new ChainUses(room.storage.images.list());
  const gone = uses.drop(image);
  // What a container stands on stays, and is not reported.
  const kept = room.containersUsing(image.id).length > 0;
  room.storage.images.delete(image.id);
  imageEvent(room, "delete", image, image.id, image.id);
  records.push({ Deleted: image.id });
  for (const chainId of kept ? [] : gone) records.push({ Deleted: chainId });
  const above = prune && parent ? room.storage.images.get(parent) : null;
  if (above) removeImage(room, above, records, { force: false, prune: true, quiet: true, uses });
}
