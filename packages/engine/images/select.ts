import { matchesReference, parseReference } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import { type Filters, timeFilter } from "../filters.ts";
import { parseTime } from "../time.ts";
import type { ImageRoom } from "./room.ts";

/** When the image was made, in milliseconds since 1970; 0 where its config does not say. */
export function createdMs(image: StoredImage): number {
  const time = image.config.created ? parseTime(image.config.created) : null;
  return time === null ? 0 : Number(time / 1_000_000n);
}

/** Whether the image was made before a point in time, as the API takes one. Throws invalidParameter. */
export function isBefore(image: StoredImage, until: string): boolean {
  const limit = timeFilter(until) ?? 0n;
  return createdMs(image) < Number(limit / 1_000_000n);
}

/** The `label` and `label!` filters. */
export function labelsMatch(filters: Filters, image: StoredImage): boolean {
  const labels = image.config.config?.Labels ?? {};
  if (filters.has("label") && !filters.labels("label", labels)) return false;
  return !filters.has("label!") || !filters.labels("label!", labels);
}

/** What the list filters say about images, worked out once. Throws invalidParameter and notFound in Docker's words. */
export class Selection {
  readonly #filters: Filters;
  readonly #before: number | undefined;
  readonly #since: number | undefined;
  readonly dangling: boolean | undefined;

  constructor(room: ImageRoom, filters: Filters) {
    filters.allow("dangling", "label", "label!", "before", "since", "reference", "until");
    this.#filters = filters;
    const times = (key: string) => filters.get(key).map((name) => createdMs(room.storage.images.resolve(name)));
    this.#before = filters.has("before") ? Math.min(...times("before")) : undefined;
    this.#since = filters.has("since") ? Math.max(...times("since")) : undefined;
    for (const until of filters.get("until")) timeFilter(until);
    this.dangling = filters.has("dangling") ? filters.bool("dangling", false) : undefined;
  }

  /** Whether the image passes all but the filters about its names. */
  passes(image: StoredImage): boolean {
    const created = createdMs(image);
    if (this.#before !== undefined && created >= this.#before) return false;
    if (this.#since !== undefined && created <= this.#since) return false;
    if (!this.#filters.get("until").every((until) => isBefore(image, until))) return false;
    return labelsMatch(this.#filters, image);
  }

  get byName(): boolean {
    return this.#filters.has("reference");
  }

  /** Whether a name passes the `reference` filter. */
  takesName(name: string): boolean {
    if (!this.byName) return true;
    const reference = parseReference(name);
    return this.#filters.get("reference").some((pattern) => matchesReference(pattern, reference));
  }
}
