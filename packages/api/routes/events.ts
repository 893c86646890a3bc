import { type Engine, eventMatches, Filters, nowNs, parseUnixTime } from "@gantry/engine";
import type { EventMessage } from "@gantry/spec";
import { invalidParameter } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";

const text = Type.Optional(Type.String());

/** One JSON value a line, under both names that has, and RFC 7464's sequences, each behind a record separator. */
const STREAMS = ["application/jsonl", "application/x-ndjson", "application/json-seq"];

/** The form of stream that the client names in its Accept header (wildcards do not); of several the one with the highest q. */
function asked(accept: string): string | undefined {
  const wanted = accept.split(",").map((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    const q = parameters.find((one) => /^q=/i.test(one));
    return { type: type.toLowerCase(), q: q === undefined ? 1 : Number(q.slice(2)) || 0 };
  });
  const quality = (type: string) => Math.max(0, ...wanted.filter((one) => one.type === type).map(({ q }) => q));
  return STREAMS.filter((type) => quality(type) > 0).sort((a, b) => quality(b) - quality(a))[0];
}

/** Events that wait for a client which does not read; what happens then it misses, as with Docker. */
const MAX_BEHIND = 1024;

/** GET /events: what happened since, and what happens, a JSON object each. */
export function eventRoutes(engine: Engine): Route[] {
  return [
    route("GET", "/events", { query: Type.Object({ since: text, until: text, filters: text }) }, async (context) => {
      const filters = Filters.parse(context.query.filters);
      const since = parseUnixTime(context.query.since);
      const until = parseUnixTime(context.query.until);
      if (since !== null && until !== null && until < since) {
        const { since: from, until: to } = context.query;
        throw invalidParameter(`\`since\` time (${from}) cannot be after \`until\` time (${to})`);
      }
      const type = asked(context.header("accept")) ?? (context.api >= 52 ? "application/jsonl" : "application/json");
      const stream = context.stream({ "Content-Type": type });
      const before = type === "application/json-seq" ? "\x1e" : "";
      let behind = 0;
      const send = (event: EventMessage) => {
        if (behind >= MAX_BEHIND || !eventMatches(event, filters)) return;
        const { status: _s, id: _i, from: _f, ...rest } = event;
        const full = stream.json(context.api >= 52 ? rest : event, before);
        if (full === undefined) return;
        behind++;
        void full.then(() => {
          behind = 0;
        });
      };
      const past = since !== null || until !== null ? engine.events.past(since ?? 0n, until) : [];
      const stop = engine.events.listen(send);
      let timer: Timer | undefined;
      try {
        if (since !== null) for (const event of past) send(event);
        await new Promise<void>((resolve) => {
          context.signal.addEventListener("abort", () => resolve());
          if (context.signal.aborted) resolve();
          if (until === null) return;
          const ms = Number((until - nowNs()) / 1_000_000n);
          if (ms <= 0) resolve();
          else timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
        });
      } finally {
        clearTimeout(timer);
        stop();
      }
      stream.end();
    }),
  ];
}
