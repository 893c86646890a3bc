import type { EventMessage } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { str } from "../flags.ts";
import { goJson } from "../format/go-print.ts";
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
    const stream = await cli.docker.system.events({
      since: timestamp(flags.since),
      until: timestamp(flags.until),
      filters: flags.filter,
    });
    for await (const event of stream) line(eventText(event, flags.format));
  },
});

/** One event as a line: time, type, action, ID and the sorted attributes; or as the format says. */
export function eventText(event: EventMessage, format: string): string {
  if (format === "json") return goJson(event);
  if (format) return applyTemplate(unescapeFormat(format), [event])[0]!;
  // The number is too long for a double: its last digits are lost, the seconds are not.
  const time = event.timeNano ? rfc3339Nano(BigInt(event.timeNano)) : rfc3339Nano(BigInt(event.time) * 1_000_000_000n);
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  const tail = attributes.length > 0 ? ` (${attributes.join(", ")})` : "";
  return `${time} ${event.Type} ${event.Action} ${event.Actor.ID}${tail}`;
}
