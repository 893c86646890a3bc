import { checkLogs, type Engine, formatEntry, readLogs } from "@gantry/engine";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";
import { frame } from "./frames.ts";
import { streamType } from "./stdio.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());

/** GET /containers/{id}/logs. */
export function logRoutes(engine: Engine): Route[] {
  return [
    route(
      "GET",
      "/containers/{name:.*}/logs",
      {
        query: Type.Object({
          follow: flag,
          stdout: flag,
          stderr: flag,
          since: text,
          until: text,
          timestamps: flag,
          details: flag,
          tail: text,
        }),
      },
      async (context) => {
        const { query } = context;
        const container = engine.containers.get(context.params["name"] as string);
        const options = {
          stdout: query.stdout === true,
          stderr: query.stderr === true,
          follow: query.follow === true,
          timestamps: query.timestamps === true,
          details: query.details === true,
          since: query.since,
          until: query.until,
          tail: query.tail,
        };
        checkLogs(container, options);
        const tty = container.record.config.Tty === true;
        const stream = context.stream({ "Content-Type": streamType(tty, context.api) });
        for await (const entries of readLogs(container, options, context.signal)) {
          const batch = Buffer.concat(
            entries.map((entry) => {
              const line = Buffer.from(formatEntry(entry, options));
              return tty ? line : frame(entry.stream === "stdout" ? 1 : 2, line);
            }),
          );
          const full = stream.write(batch);
          if (full !== undefined) await full;
        }
        stream.end();
      },
    ),
  ];
}
