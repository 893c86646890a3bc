import { invalidParameter, notFound } from "@gantry/spec";
import type { Engine } from "../engine.ts";

/** Forgets a legacy link, named as `container/alias`. The name goes from /etc/hosts with the next start. */
export function removeLink(engine: Engine, name: string): void {
  const parts = /^\/?([^/]+)\/([^/]+)$/.exec(name);
  if (parts === null) throw invalidParameter("Bad parameters: the name of a link has a container and an alias");
  const container = engine.containers.get(parts[1] as string);
  const links = container.record.hostConfig.Links ?? [];
  const kept = links.filter((link) => (link.split(":")[1] ?? link) !== parts[2]);
  if (kept.length === links.length) throw notFound(`Could not get parent container for link ${name}`);
  container.record.hostConfig.Links = kept;
  container.save();
}
