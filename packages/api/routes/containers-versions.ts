import type { ContainerSummary } from "@gantry/spec";

/** What older API versions expect in a list entry of containers: up to 1.51, no health. */
export function summaryFor(summary: ContainerSummary, api: number): ContainerSummary {
  if (api >= 52) return summary;
  const { Health: _, ...old } = summary;
  return old;
}
