import type { EventMessage } from "@gantry/spec";
import type { Filters } from "../filters.ts";
import { nowNs } from "../time.ts";

/** How many past events are kept for `since`. */
const HISTORY = 256;

export type Listener = (event: EventMessage) => void;

/** Everything that happens, told to whoever listens, in order; the last 256 are remembered. */
export class EventBus {
  private readonly history: EventMessage[] = [];
  private readonly listeners = new Set<Listener>();

  get listenerCount(): number {
    return this.listeners.size;
  }

  emit(type: string, action: string, id: string, attributes: Record<string, string>): void {
    const time = nowNs();
    const event: EventMessage = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: attributes },
      scope: "local",
      time: Number(time / 1_000_000_000n),
      timeNano: Number(time),
    };
    if (type === "container" || type === "image") {
      // The form before API 1.22, which clients still read; answers from 1.52 on leave it out.
      event.status = action;
      event.id = id;
      if (type === "container" && attributes["image"] !== undefined) event.from = attributes["image"];
    }
    this.history.push(event);
    if (this.history.length > HISTORY) this.history.shift();
    for (const listener of [...this.listeners]) listener(event);
  }

  /** Events kept from `since` to `until` (nanoseconds since 1970). */
  past(since: bigint, until: bigint | null): EventMessage[] {
    return this.history.filter(
      (event) => BigInt(event.timeNano) >= since && (until === null || BigInt(event.timeNano) <= until),
    );
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** Whether an event passes the filters of GET /events. */
export function eventMatches(event: EventMessage, filters: Filters): boolean {
  const { ID, Attributes } = event.Actor;
  return (
    (!filters.has("event") ||
      filters.get("event").some((wanted) => event.Action === wanted || event.Action.startsWith(`${wanted}:`))) &&
    filters.exact("type", event.Type) &&
    filters.exact("scope", event.scope ?? "local") &&
    actor(filters, "container", event, ID, Attributes["name"]) &&
    actor(filters, "volume", event, ID, Attributes["name"]) &&
    network(filters, event) &&
    image(filters, event) &&
    actor(filters, "daemon", event, ID, Attributes["name"]) &&
    actor(filters, "plugin", event, ID, Attributes["name"]) &&
    filters.labels("label", Attributes)
  );
}

function actor(filters: Filters, type: string, event: EventMessage, id: string, name: string | undefined): boolean {
  if (!filters.has(type)) return true;
  if (event.Type !== type) return false;
  return filters.get(type).some((wanted) => id === wanted || name === wanted || id.startsWith(wanted));
}

function network(filters: Filters, event: EventMessage): boolean {
  return actor(filters, "network", event, event.Actor.ID, event.Actor.Attributes["name"]);
}

function image(filters: Filters, event: EventMessage): boolean {
  if (!filters.has("image")) return true;
  const names = [
    event.Type === "image" ? event.Actor.ID : "",
    event.Actor.Attributes["image"],
    event.Actor.Attributes["name"],
  ];
  return filters
    .get("image")
    .some((wanted) =>
      names.some(
        (name) => name !== undefined && name !== "" && (name === wanted || name.replace(/:[^/:]*$/, "") === wanted),
      ),
    );
}
