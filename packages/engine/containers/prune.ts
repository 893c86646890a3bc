import type { Engine } from "../engine.ts";
import type { Filters } from "../filters.ts";
import { parseTime } from "../time.ts";
import { removeContainer } from "./remove.ts";

/** Removes containers that do not run. */
export async function pruneContainers(
  engine: Engine,
  filters: Filters,
): Promise<{ ContainersDeleted: string[] | null; SpaceReclaimed: number }> {
  filters.allow("until", "label", "label!");
  const until = filters.until();
  const deleted: string[] = [];
  let freed = 0;
  for (const container of engine.containers.all()) {
    const { status } = container.state;
    if (container.running || status === "restarting" || container.removing) continue;
    if (until !== null && (parseTime(container.record.created) ?? 0n) > until) continue;
    if (!filters.labels("label", container.record.config.Labels)) continue;
    if (filters.has("label!") && filters.labels("label!", container.record.config.Labels)) continue;
    try {
      freed += await engine.storage.layers.containerSize(container.id).catch(() => 0);
      await removeContainer(engine, container, { force: false, volumes: false });
      deleted.push(container.id);
    } catch {
      // Started in the meantime.
    }
  }
  engine.events.emit("container", "prune", "", { reclaimed: String(freed) });
  return { ContainersDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: freed };
}
