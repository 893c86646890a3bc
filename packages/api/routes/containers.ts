import {
  createContainer,
  type Engine,
  Filters,
  inspectContainer,
  killContainer,
  listContainers,
  parseWaitCondition,
  pauseContainer,
  removeContainer,
  removeLink,
  restartContainer,
  startContainer,
  stopContainer,
  unpauseContainer,
  waitContainer,
} from "@gantry/engine";
import { ContainerCreateRequest, conflict, GantryError, invalidParameter } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";
import { modernise, summaryFor } from "./containers-versions.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());
const number = Type.Optional(Type.Integer());

/** The error with words in front. */
function prefixed(words: string, error: unknown): unknown {
  return error instanceof GantryError ? new GantryError(error.kind, words + error.message, { cause: error }) : error;
}

/** Says which container could not be stopped, unless nothing was wrong. */
async function within(words: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw error instanceof GantryError && error.kind === "notModified" ? error : prefixed(words, error);
  }
}

/** A terminal's height or width, which a request must give. */
export function terminalSide(what: "height" | "width", given = ""): number {
  const side = Number(given);
  if (!/^\d{1,10}$/.test(given) || side > 0xffffffff) {
    const why = /^\d+$/.test(given) ? "value out of range" : "invalid syntax";
    throw invalidParameter(`invalid resize ${what} ${JSON.stringify(given)}: ${why}`);
  }
  return side;
}

/** The life of containers: create, start, stop, wait, remove; list and inspect. */
export function containerRoutes(engine: Engine): Route[] {
  const get = (context: { params: Record<string, string> }) => engine.containers.get(context.params["name"] as string);
  return [
    route(
      "POST",
      "/containers/create",
      {
        query: Type.Object({ name: text, platform: text }),
        body: ContainerCreateRequest,
        bodyName: "CreateRequest",
        bodyNeeded: true,
      },
      async (context) => {
        const { name, platform } = context.query;
        if (Object.keys(context.body).every((key) => key === "HostConfig" || key === "NetworkingConfig")) {
          throw invalidParameter("config cannot be empty in order to create a container");
        }
        const deprecated = modernise(context.body, context.api);
        const { Id, Warnings } = await createContainer(engine, name ?? "", context.body, platform ?? "");
        context.json({ Id, Warnings: [...deprecated, ...Warnings] }, 201);
      },
    ),
    route(
      "GET",
      "/containers/json",
      { query: Type.Object({ all: flag, limit: number, size: flag, filters: text }) },
      async (context) => {
        const { all, limit, size, filters } = context.query;
        const list = await listContainers(engine, {
          all: all === true,
          limit: Math.max(0, limit ?? 0),
          size: size === true,
          filters: Filters.parse(filters),
        });
        context.json(list.map((summary) => summaryFor(summary, context.api)));
      },
    ),
    route("GET", "/containers/{name:.*}/json", { query: Type.Object({ size: flag }) }, async (context) => {
      context.json(
        await inspectContainer(engine, get(context), { size: context.query.size === true, api: context.api }),
      );
    }),
    route("POST", "/containers/{name:.*}/start", { query: Type.Object({ detachKeys: text }) }, async (context) => {
      // "null" and its like have always passed.
      if ((context.exchange.head.contentLength ?? 0) > 7) {
        throw invalidParameter(
          "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        );
      }
      await startContainer(engine, get(context));
      context.empty();
    }),
    route(
      "POST",
      "/containers/{name:.*}/stop",
      { query: Type.Object({ t: number, signal: text }) },
      async (context) => {
        const { t: timeout, signal } = context.query;
        const stopping = stopContainer(engine, get(context), { timeout, signal });
        await within(`cannot stop container: ${context.params["name"]}: `, stopping);
        context.empty();
      },
    ),
    route(
      "POST",
      "/containers/{name:.*}/restart",
      { query: Type.Object({ t: number, signal: text }) },
      async (context) => {
        const { t: timeout, signal } = context.query;
        const restarting = restartContainer(engine, get(context), { timeout, signal });
        await within(`Cannot restart container ${context.params["name"]}: `, restarting);
        context.empty();
      },
    ),
    route("POST", "/containers/{name:.*}/kill", { query: Type.Object({ signal: text }) }, async (context) => {
      try {
        await killContainer(engine, get(context), context.query.signal ?? "");
      } catch (error) {
        throw prefixed(`cannot kill container: ${context.params["name"]}: `, error);
      }
      context.empty();
    }),
    route("POST", "/containers/{name:.*}/pause", {}, async (context) => {
      await pauseContainer(engine, get(context));
      context.empty();
    }),
    route("POST", "/containers/{name:.*}/unpause", {}, async (context) => {
      await unpauseContainer(engine, get(context));
      context.empty();
    }),
    route("POST", "/containers/{name:.*}/wait", { query: Type.Object({ condition: text }) }, async (context) => {
      const condition = parseWaitCondition(context.query.condition);
      const container = get(context);
      const waiting = waitContainer(container, condition, context.signal);
      // The head at once: the client then knows that it will not miss the exit, and starts the container.
      const stream = context.stream();
      const notice = await waiting;
      if (notice !== null) {
        const failure = notice.error === undefined ? {} : { Error: { Message: notice.error } };
        stream.write(`${JSON.stringify({ StatusCode: notice.exitCode, ...failure })}\n`);
      }
      stream.end();
    }),
    route(
      "DELETE",
      // A link's name is its container's, a slash, and the alias.
      "/containers/{name:.*}",
      { query: Type.Object({ v: flag, force: flag, link: flag }) },
      async (context) => {
        const { v, force, link } = context.query;
        if (link === true) {
          removeLink(engine, context.params["name"] as string);
          context.empty();
          return;
        }
        const calledBy = context.params["name"] as string;
        await removeContainer(engine, get(context), { volumes: v === true, force: force === true, calledBy });
        context.empty();
      },
    ),
    route("POST", "/containers/{name:.*}/rename", { query: Type.Object({ name: text }) }, async (context) => {
      const container = get(context);
      const wanted = context.query.name ?? "";
      if (wanted === "") throw invalidParameter("Neither old nor new names may be empty");
      if (wanted.replace(/^\//, "") === container.name) {
        throw invalidParameter("Renaming a container with the same name as its current name");
      }
      await container.settled();
      if (container.removing) throw conflict(`removal of container ${container.id} is already in progress`);
      const old = container.name;
      let name: string;
      try {
        name = engine.containers.reserveName(wanted.startsWith("/") ? wanted : `/${wanted}`, container.id);
      } catch (error) {
        throw prefixed("Error when allocating new name: ", error);
      }
      engine.containers.rename(container, name);
      engine.network.rename(container.id, name);
      container.emit("rename", { oldName: `/${old}` });
      context.empty();
    }),
    route("POST", "/containers/{name:.*}/resize", { query: Type.Object({ h: text, w: text }) }, async (context) => {
      const [h, w] = [terminalSide("height", context.query.h), terminalSide("width", context.query.w)];
      const container = get(context);
      await container.settled();
      if (!container.running || container.task === null) throw conflict(`container ${container.id} is not running`);
      await container.task.resize(h, w);
      container.emit("resize", { height: String(h), width: String(w) });
      context.empty(200);
    }),
  ];
}
