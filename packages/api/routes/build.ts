import { type Builder, type BuildSource, type CacheRecord, errorMessage } from "@gantry/builder";
import { type BuildCache, GantryError, invalidParameter, messageOf } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Context, type ResponseStream, type Route, route } from "../http/index.ts";
import { type BuildQuery, BuildQuery as BuildQuerySchema, buildRequest } from "./build-options.ts";
import { pruneFilters } from "./build-prune.ts";

const text = Type.Optional(Type.String());
const flag = Type.Optional(Type.Boolean());
const number = Type.Optional(Type.Integer());

/** `/build`: the classic builder's endpoint, its cache's pruning, and cancelling. */
export function buildRoutes(builder: Builder): Route[] {
  const running = new Map<string, AbortController>();
  return [
    route("POST", "/build", { query: BuildQuerySchema }, (context) => build(builder, context, running)),
    route("POST", "/build/cancel", { query: Type.Object({ id: text }) }, (context) => {
      const { id } = context.query;
      if (!id) throw invalidParameter("build ID not provided");
      running.get(id)?.abort(new GantryError("cancelled", "build cancelled"));
      context.empty(200);
    }),
    route(
      "POST",
      "/build/prune",
      {
        query: Type.Object({
          all: flag,
          filters: text,
          "keep-storage": number,
          "reserved-space": number,
          "max-used-space": number,
          "min-free-space": number,
        }),
      },
      async (context) => {
        const { query } = context;
        const keep = query["reserved-space"] || query["keep-storage"] || query["max-used-space"] || 0;
        const { deleted, reclaimed } = await builder.prune({
          all: query.all ?? false,
          keep,
          ...pruneFilters(query.filters),
        });
        context.json({ CachesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed });
      },
    ),
  ];
}

async function build(
  builder: Builder,
  context: Context<BuildQuery, undefined>,
  running: Map<string, AbortController>,
): Promise<void> {
  const request = buildRequest(context.query);
  const { remote, buildid: buildId } = context.query;
  if (remote === "client-session") {
    throw invalidParameter(
      "experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead",
    );
  }
  const source: BuildSource = remote ? { type: "remote", url: remote } : { type: "tar", stream: context.exchange.body };
  const cancel = new AbortController();
  if (buildId) running.set(buildId, cancel);
  const signal = AbortSignal.any([context.signal, cancel.signal]);

  const output = new MessageWriter(context);
  const held: object[] = [];
  try {
    const id = await builder.build(
      { ...request, source, auth: registryConfig(context.header("x-registry-config")), signal },
      {
        message: (message) => {
          // Clients before API 1.30 do not know this kind.
          if (context.api < 30 && "aux" in message) return;
          if (!request.quiet) return output.send(message);
          held.push(message);
        },
      },
    );
    if (request.quiet) output.send({ stream: `${id}\n` });
  } catch (error) {
    // Quiet or not, what led to a failure is shown.
    for (const message of held) output.send(message);
    if (!output.started)
      throw error instanceof GantryError ? error : new GantryError("system", messageOf(error), { cause: error });
    output.send(errorMessage(error));
  } finally {
    if (buildId) running.delete(buildId);
    output.end();
  }
}

/** Messages held back for one turn of the event loop, above which they are sent at once. Bytes. */
const BATCH = 64 << 10;

/**
 * Writes messages as JSON lines. Those of one turn of the event loop go out together: a build whose steps all come from
 * the cache says a hundred things in a millisecond, and each write of its own costs more than the step.
 */
class MessageWriter {
  private stream: ResponseStream | null = null;
  private batch = "";
  private scheduled = false;

  constructor(private readonly context: Pick<Context, "stream">) {}

  get started(): boolean {
    return this.stream !== null || this.batch !== "";
  }

  /** Resolves, where it gives a promise, when the client has taken enough for more. */
  send(message: object): Promise<void> | undefined {
    this.batch += `${JSON.stringify(message)}\r\n`;
    if (this.batch.length > BATCH) return this.flush();
    if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        void this.flush();
      });
    }
    return undefined;
  }

  end(): void {
    void this.flush();
    this.stream?.end();
  }

  private flush(): Promise<void> | undefined {
    if (this.batch === "") return undefined;
    const { batch } = this;
    this.batch = "";
    this.stream ??= this.context.stream();
    return this.stream.write(batch);
  }
}

/** Credentials by registry. As Docker, unreadable ones count as none. */
function registryConfig(header: string): Record<string, unknown> | undefined {
  if (header === "") return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(header, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** A cache record as `system df` shows it. */
export function toBuildCache(record: CacheRecord): BuildCache {
  return {
    ID: record.id.slice(0, 25),
    ...(record.parents.length > 0 ? { Parents: record.parents.map((id) => id.slice(0, 25)) } : {}),
    Type: record.type,
    Description: record.description,
    InUse: record.inUse,
    Shared: record.shared,
    Size: record.size,
    CreatedAt: new Date(record.createdAt).toISOString(),
    LastUsedAt: new Date(record.lastUsedAt).toISOString(),
    UsageCount: record.usageCount,
  };
}
