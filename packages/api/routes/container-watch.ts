import {
  DEVICE_LIMITS,
  type Engine,
  Filters,
  pruneContainers,
  sampleStats,
  topContainer,
  updateContainer,
} from "@gantry/engine";
import { UpdateConfig } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";
import { statsFor } from "./containers-versions.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());

/** Looking at containers and changing their limits: top, stats, update, prune. */
export function containerWatchRoutes(engine: Engine): Route[] {
  const get = (context: { params: Record<string, string> }) => engine.containers.get(context.params["name"] as string);
  return [
    route("GET", "/containers/{name:.*}/top", { query: Type.Object({ ps_args: text }) }, async (context) => {
      context.json(await topContainer(get(context), context.query.ps_args ?? ""));
    }),
    route(
      "GET",
      "/containers/{name:.*}/stats",
      { query: Type.Object({ stream: flag, "one-shot": flag }) },
      async (context) => {
        const container = get(context);
        const { stream: streaming = true } = context.query;
        const oneShot = context.query["one-shot"] === true && context.api >= 41;
        const { signal } = context;
        const pause = () =>
          new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, 1000);
            signal.addEventListener(
              "abort",
              () => {
                clearTimeout(timer);
                resolve();
              },
              { once: true },
            );
          });
        if (!streaming) {
          const first = await sampleStats(engine, container, null);
          if (oneShot || !container.running) return context.json(statsFor(first, context.api));
          await pause();
          return context.json(statsFor(await sampleStats(engine, container, first), context.api));
        }
        const stream = context.stream();
        let previous = await sampleStats(engine, container, null);
        stream.json(statsFor(previous, context.api));
        while (!signal.aborted) {
          await pause();
          if (signal.aborted || container.removed) break;
          previous = await sampleStats(engine, container, previous);
          const full = stream.json(statsFor(previous, context.api));
          if (full !== undefined) await full;
        }
        stream.end();
      },
    ),
    route("POST", "/containers/{name:.*}/update", { body: UpdateConfig, bodyName: "UpdateConfig" }, async (context) => {
      // They were ignored once.
      if (context.api < 55) for (const field of DEVICE_LIMITS) delete context.body[field];
      const warnings = await updateContainer(engine, get(context), context.body);
      context.json({ Warnings: warnings.length === 0 ? null : warnings });
    }),
    route("POST", "/containers/prune", { query: Type.Object({ filters: text }) }, async (context) => {
      context.json(await pruneContainers(engine, Filters.parse(context.query.filters)));
    }),
  ];
}
