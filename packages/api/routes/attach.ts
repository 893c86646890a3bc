import { attachContainer, type Container, type Engine, formatEntry, parseDetachKeys, readLogs } from "@gantry/engine";
import { type Static, Type } from "@sinclair/typebox";
import { type Context, type Route, route, WebSocketStream } from "../http/index.ts";
import { frame } from "./frames.ts";
import { type Client, hijackedType, pump } from "./stdio.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());

const query = Type.Object({ detachKeys: text, logs: flag, stream: flag, stdin: flag, stdout: flag, stderr: flag });

/** POST /containers/{id}/attach: a container's stdio over the hijacked connection; and the same over a WebSocket. */
export function attachRoutes(engine: Engine): Route[] {
  return [
    route("POST", "/containers/{name:.*}/attach", { query }, async (context) => {
      const container = engine.containers.get(context.params["name"] as string);
      const tty = container.record.config.Tty === true;
      await attach(container, context, tty, () => context.hijack(hijackedType(tty, context)));
    }),
    route("GET", "/containers/{name:.*}/attach/ws", { query }, async (context) => {
      const container = engine.containers.get(context.params["name"] as string);
      await attach(container, context, container.record.config.Tty === true, () =>
        WebSocketStream.accept(context.exchange),
      );
    }),
  ];
}

async function attach(
  container: Container,
  context: Pick<Context<Static<typeof query>>, "query" | "signal">,
  tty: boolean,
  open: () => Client,
): Promise<void> {
  const { detachKeys = "", logs, stream, stdin, stdout, stderr } = context.query;
  parseDetachKeys(detachKeys);
  const request = { stdin: stdin === true, stdout: stdout === true, stderr: stderr === true };
  // Asked for before the answer goes out: from here on no output is missed.
  const attaching =
    stream === true && (stdin || stdout || stderr) ? attachContainer(container, request) : Promise.resolve(null);
  attaching.catch(() => {});
  const client = open();
  container.emit("attach");
  if (logs === true) {
    await client.headTaken?.();
    await replayLogs(container, request, tty, (bytes) => client.write(bytes), context.signal);
  }
  const attached = await attaching.catch(() => null);
  if (attached === null || client.closed) {
    attached?.close();
    client.close();
    return;
  }
  await pump(client, attached, {
    stdin: request.stdin,
    closeStdin: container.record.config.StdinOnce === true && !tty,
    detachKeys: tty && request.stdin ? detachKeys : null,
    onDetach: () => container.emit("detach"),
  });
}

/** Sends what was logged so far, in the form of the live stream. */
export async function replayLogs(
  container: Container,
  wanted: { stdout: boolean; stderr: boolean },
  tty: boolean,
  write: (bytes: Uint8Array) => Promise<void> | undefined,
  signal: AbortSignal,
): Promise<void> {
  const options = {
    ...wanted,
    follow: false,
    timestamps: false,
    details: false,
    since: undefined,
    until: undefined,
    tail: undefined,
  };
  for await (const entries of readLogs(container, options, signal)) {
    for (const entry of entries) {
      const line = Buffer.from(formatEntry(entry, options));
      await write(tty ? line : frame(entry.stream === "stdout" ? 1 : 2, line));
    }
  }
}
