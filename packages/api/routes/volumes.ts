import {
  createVolume,
  type Engine,
  Filters,
  inspectVolume,
  listVolumes,
  pruneVolumes,
  removeVolume,
} from "@gantry/engine";
import { invalidParameter, messageOf, VolumeCreate } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());

function parseFilters(given: string | undefined): Filters {
  try {
    return Filters.parse(given);
  } catch (error) {
    throw invalidParameter(`error reading volume filters: ${messageOf(error)}`);
  }
}

/** /volumes. */
export function volumeRoutes(engine: Engine): Route[] {
  return [
    route("GET", "/volumes", { query: Type.Object({ filters: text }) }, (context) => {
      const filters = parseFilters(context.query.filters);
      context.json({ Volumes: listVolumes(engine, filters), Warnings: null });
    }),
    route(
      "POST",
      "/volumes/create",
      { body: VolumeCreate, bodyName: "CreateOptions", bodyOptional: true },
      async (context) => {
        context.json(await createVolume(engine, context.body), 201);
      },
    ),
    route("POST", "/volumes/prune", { query: Type.Object({ filters: text }) }, async (context) => {
      const filters = Filters.parse(context.query.filters);
      // Up to API 1.41 named volumes went too.
      const all =
        context.api < 42
          ? Filters.parse(
              JSON.stringify({
                ...Object.fromEntries(filters.keys().map((key) => [key, filters.get(key)])),
                all: ["true"],
              }),
            )
          : filters;
      context.json(await pruneVolumes(engine, all));
    }),
    route("GET", "/volumes/{name:.*}", {}, (context) => {
      context.json(inspectVolume(engine, context.params["name"] as string));
    }),
    route("DELETE", "/volumes/{name:.*}", { query: Type.Object({ force: flag }) }, async (context) => {
      await removeVolume(engine, context.params["name"] as string, context.query.force === true);
      context.empty();
    }),
  ];
}
