import {
  commitContainer,
  copyFromContainer,
  copyToContainer,
  type Engine,
  exportContainer,
  type Images,
  statContainerPath,
} from "@gantry/engine";
import { ContainerConfigRequest, type ContainerPathStat, invalidParameter, notFound } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());

const statHeader = (stat: ContainerPathStat) => ({
  "X-Docker-Container-Path-Stat": Buffer.from(JSON.stringify(stat)).toString("base64"),
});

/** Files of containers: archive in and out, changes, export, commit. */
export function containerFileRoutes(engine: Engine, images: Images): Route[] {
  const name = (context: { params: Record<string, string> }) => context.params["name"] as string;
  const get = (context: { params: Record<string, string> }) => engine.containers.get(name(context));
  const required = (path: string | undefined) => {
    if (path === undefined || path === "") throw invalidParameter("bad parameter: 'path' cannot be empty");
    return path;
  };
  return [
    route("HEAD", "/containers/{name:.*}/archive", { query: Type.Object({ path: text }) }, async (context) => {
      const stat = await statContainerPath(engine, name(context), required(context.query.path));
      context.send(200, statHeader(stat), null);
    }),
    route("GET", "/containers/{name:.*}/archive", { query: Type.Object({ path: text }) }, async (context) => {
      const { stat, tar } = await copyFromContainer(engine, name(context), required(context.query.path));
      const stream = context.stream({ "Content-Type": "application/x-tar", ...statHeader(stat) });
      await stream.pipe(tar as unknown as AsyncIterable<Uint8Array>);
    }),
    route(
      "PUT",
      "/containers/{name:.*}/archive",
      { query: Type.Object({ path: text, noOverwriteDirNonDir: flag, copyUIDGID: flag }) },
      async (context) => {
        const { path, noOverwriteDirNonDir, copyUIDGID } = context.query;
        await copyToContainer(engine, name(context), required(path), context.exchange.body.stream(), {
          noOverwriteDirNonDir: noOverwriteDirNonDir === true,
          copyUIDGID: copyUIDGID === true,
          signal: context.signal,
        });
        context.empty(200);
      },
    ),
    route("GET", "/containers/{name:.*}/changes", {}, async (context) => {
      const container = get(context);
      const changes = await engine.storage.layers.changes(container.id).catch((error) => {
        throw container.removing || container.removed ? notFound(`No such container: ${container.id}`) : error;
      });
      context.json(changes.length === 0 ? null : changes.map(({ path, kind }) => ({ Path: path, Kind: kind })));
    }),
    route("GET", "/containers/{name:.*}/export", {}, async (context) => {
      const tar = await exportContainer(engine, get(context));
      await context
        .stream({ "Content-Type": "application/octet-stream" })
        .pipe(tar as unknown as AsyncIterable<Uint8Array>);
    }),
    route(
      "POST",
      "/commit",
      {
        query: Type.Object({
          container: text,
          repo: text,
          tag: text,
          author: text,
          comment: text,
          changes: Type.Optional(Type.Array(Type.String())),
          pause: flag,
        }),
        body: ContainerConfigRequest,
        bodyName: "Config",
        bodyOptional: true,
      },
      async (context) => {
        const { query } = context;
        const id = await commitContainer(engine, images, engine.containers.get(query.container ?? ""), {
          repository: query.repo ?? "",
          tag: query.tag ?? "",
          author: query.author ?? "",
          comment: query.comment ?? "",
          changes: (query.changes ?? []).flatMap((entry) => entry.split("\n")).filter((entry) => entry.trim() !== ""),
          pause: query.pause !== false,
          config: context.body,
        });
        context.json({ Id: id }, 201);
      },
    ),
  ];
}
