import type { CacheRecord, PruneOptions } from "@gantry/builder";
import { Filters, timeFilter } from "@gantry/engine";
import { type GantryError, invalidParameter, messageOf } from "@gantry/spec";

const TESTS: Record<string, (record: CacheRecord, wanted: string) => boolean> = {
  id: ({ id }, wanted) => id.startsWith(wanted),
  type: ({ type }, wanted) => type === wanted,
  description: ({ description }, wanted) => description === wanted,
  parent: ({ parents }, wanted) => parents.some((id) => id.startsWith(wanted)),
  inuse: ({ inUse }) => inUse,
  shared: ({ shared }) => shared,
  private: ({ shared }) => !shared,
  // No record of ours has any.
  label: () => false,
  "label!": () => true,
};
const AGES = ["until", "unused-for"];

/** What the filters of a cache's prune leave to be pruned. What is not understood is refused: else too much would go. */
export function pruneFilters(json: string | undefined): Pick<PruneOptions, "olderThan" | "matches"> {
  const filters = Filters.parse(json);
  const keys = filters.keys().filter((key) => filters.has(key));
  for (const key of filters.keys()) {
    if (!Object.hasOwn(TESTS, key) && !AGES.includes(key)) throw refused(`invalid filter '${key}'`);
    if (filters.get(key).length > 1) throw refused("filters expect only one value");
  }
  const ages = AGES.filter((key) => filters.has(key));
  if (ages.length > 1) throw refused('conflicting filters: "until" and "unused-for"');
  const result: Pick<PruneOptions, "olderThan" | "matches"> = {};
  for (const key of ages) result.olderThan = age(key, filters.get(key)[0] as string);
  const tests = keys.filter((key) => !AGES.includes(key));
  if (tests.length > 0) {
    result.matches = (record) => tests.every((key) => TESTS[key]?.(record, filters.get(key)[0] as string));
  }
  return result;
}

/** Milliseconds since a moment that is given as such, or as a duration. */
function age(key: string, text: string): number {
  try {
    return Math.max(0, Date.now() - Number((timeFilter(text) ?? 0n) / 1_000_000n));
  } catch (error) {
    throw refused(`"${key}" filter expects a duration (e.g., '24h') or a timestamp: ${messageOf(error)}`);
  }
}

function refused(words: string): GantryError {
  return invalidParameter(`failed to prune build cache: ${words}`);
}
