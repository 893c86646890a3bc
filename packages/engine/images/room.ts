import type { Credentials, Distribution } from "@gantry/distribution";
import type { Digest, Reference } from "@gantry/spec";
import { parseReference } from "@gantry/spec";
import type { Storage, StoredImage } from "@gantry/storage";

/** A container as far as its image is concerned. */
export interface ImageUser {
  id: string;
  running: boolean;
}

export interface ImageEvents {
  emit(type: string, action: string, id: string, attributes: Record<string, string>): void;
}

export interface ImagesOptions {
  storage: Storage;
  distribution: Distribution;
  events: ImageEvents;
  /** Containers made from the image. */
  containersUsing: (imageId: Digest) => ImageUser[];
  /** How many containers each image has, for lists; by `containersUsing` where it is left out. */
  containerCounts?: () => Map<string, number>;
  /** Lets work go on after the answer; its failure is logged. */
  later?: (what: string, work: Promise<unknown>) => void;
  /** How long the layers of an unfinished pull or load are kept for its next try, in milliseconds; an hour by default. */
  grace?: number;
  /** Credentials for a registry where a request brought none (none by default). */
  credentials?: (domain: string) => Credentials | undefined;
}

/** What the functions of this folder work with. */
export interface ImageRoom extends ImagesOptions {
  /** Asks for a collect soon; many in a row make one. */
  collectSoon(): void;
}

/** A name of an image, parsed. */
export interface ImageName {
  text: string;
  reference: Reference;
  /** `repository@digest` instead of `repository:tag`. */
  canonical: boolean;
}

/** All names of an image, tags first. */
export function namesOf(image: StoredImage): ImageName[] {
  const name = (canonical: boolean) => (text: string) => ({ text, reference: parseReference(text), canonical });
  return [...image.tags.map(name(false)), ...image.digests.map(name(true))];
}

/** Twelve hex digits of an ID. */
export function shortId(id: string): string {
  return (id.startsWith("sha256:") ? id.slice(7) : id).slice(0, 12);
}

/** Tells of something that happened to an image: its labels and name go along, as Docker's events have them. */
export function imageEvent(room: ImageRoom, action: string, image: StoredImage | null, id: string, name: string): void {
  room.events.emit("image", action, id, { ...image?.config.config?.Labels, name });
}
