/** Filters by name, each with the values that may match: `{ label: ["a=b"], status: ["running"] }`. */
export type Filters = Record<string, readonly string[]>;

/** Filters as the API takes them in its `filters` query (a map of sets); undefined where there are none. */
export function filtersText(filters: Filters | undefined): string | undefined {
  const entries = Object.entries(filters ?? {}).filter(([, values]) => values.length > 0);
  if (entries.length === 0) return undefined;
  return JSON.stringify(
    Object.fromEntries(
      entries.map(([name, values]) => [name, Object.fromEntries(values.map((value) => [value, true]))]),
    ),
  );
}
