import { filtersText, textLines } from "@gantry/client";
import type { EventMessage } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { str } from "../flags.ts";
import { applyTemplate, unescapeFormat } from "../format/template-listing.ts";
import { rfc3339Nano } from "../format/units.ts";
import { filterFlag } from "../options/filters.ts";
import { objectFormat } from "../options/format.ts";
import { timestamp } from "../options/timestamps.ts";
import { line } from "../output.ts";

export const events = defineCommand({
  usage: "[OPTIONS]",
  short: "Follow what happens in the engine",
  aliases: ["system events", "events"],
  flags: {
    filter: filterFlag("f", "Show only what fits conditions"),
    format: objectFormat(""),
    since: str("", "Begin with events since this time"),
    until: str("", "End with events at this time"),
  },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    const { body } = await cli.docker.call("GET", "/events", {
      query: {
        since: timestamp(flags.since) || undefined,
        until: timestamp(flags.until) || undefined,
        filters: filtersText(flags.filter),
      },
    });
    for await (const text of textLines(body)) line(eventText(text, flags.format));
  },
});

/**
 * One event as a line: time, type, action, ID and the sorted attributes; or as the format says. It is taken as the
 * engine wrote it, because nanoseconds since 1970 do not fit a double.
 */
export function eventText(text: string, format: string): string {
  if (format === "json") return text;
  const event = JSON.parse(text) as EventMessage;
  const nanoseconds = /"timeNano":\s*(\d+)\s*\}?$/.exec(text)?.[1] ?? /"timeNano":\s*(\d+)/.exec(text)?.[1];
  if (format) {
    // Go's names of what the document has in small letters; `{{json .}}` is to give the document.
    const named = { Scope: event.scope, Time: event.time, TimeNano: BigInt(nanoseconds ?? 0) };
    for (const [name, value] of Object.entries(named)) Object.defineProperty(event, name, { value });
    return applyTemplate(unescapeFormat(format), [event])[0]!;
  }
  const time = rfc3339Nano(nanoseconds ? BigInt(nanoseconds) : BigInt(event.time) * 1_000_000_000n);
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  const tail = attributes.length > 0 ? ` (${attributes.join(", ")})` : "";
  return `${time} ${event.Type} ${event.Action} ${event.Actor.ID}${tail}`;
}
