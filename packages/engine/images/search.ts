import type { SearchOptions } from "@gantry/distribution";
import { invalidParameter, type SearchResult } from "@gantry/spec";
import type { Filters } from "../filters.ts";
import type { ImageRoom } from "./room.ts";

/** `docker search` with its filters: stars, is-official, is-automated. */
export async function search(
  room: ImageRoom,
  term: string,
  filters: Filters,
  options: SearchOptions = {},
): Promise<SearchResult[]> {
  if (term === "") throw invalidParameter("invalid search term: term is empty");
  filters.allow("is-automated", "is-official", "stars");
  const flag = (key: string) => (filters.has(key) ? filters.bool(key, false) : undefined);
  const automated = flag("is-automated");
  const official = flag("is-official");
  const stars = filters.get("stars").map((value) => {
    if (!/^\d{1,12}$/.test(value)) throw invalidParameter(`invalid filter 'stars=${value}'`);
    return Number(value);
  });
  const hits = await room.distribution.search(term, options);
  return hits.filter(
    (hit) =>
      (automated === undefined || hit.is_automated === automated) &&
      (official === undefined || hit.is_official === official) &&
      stars.every((least) => hit.star_count >= least),
  );
}
