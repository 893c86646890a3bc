import { attachContainer, type Container, type Engine, formatEntry, parseDetachKeys, readLogs } from "@gantry/engine";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";
import { frame } from "./frames.ts";
import { pump, streamType } from "./stdio.ts";

const flag = Type.Optional(Type.Boolean());
const text = Type.Optional(Type.String());

/** POST /containers/{id}/attach: a container's stdio over the hijacked connection. */
export function attachRoutes(engine: Engine): Route[] {
  return [
    route(
      "POST",
      "/containers/{name}/attach",
      {
        query: Type.Object({ detachKeys: text, logs: flag, stream: flag, stdin: flag, stdout: flag, stderr: flag }),
      },
      async (context) => {
        const { detachKeys = "", logs, stream, stdin, stdout, stderr } = context.query;
        const container = engine.containers.get(context.params["name"] as string);
        parseDetachKeys(detachKeys);
        const { Tty: tty, StdinOnce: once } = container.record.config;
        const request = { stdin: stdin === true, stdout: stdout === true, stderr: stderr === true };
        // Asked for before the answer goes out: from here on no output is missed.
        const attaching = stream === true ? attachContainer(container, request) : Promise.resolve(null);
        attaching.catch(() => {});
        const client = context.hijack(streamType(tty === true, context.api));
        container.emit("attach");
        if (logs === true) await replayLogs(container, request, tty === true, (bytes) => client.write(bytes), context.signal);
        let attached: Awaited<typeof attaching>;
        try {
          attached = await attaching;
        } catch {
          attached = null;
        }
        if (attached === null || client.closed) {
          attached?.close();
          client.close();
          return;
        }
        await pump(client, attached, {
          stdin: request.stdin,
          closeStdin: once === true && tty !== true,
          detachKeys: tty === true && request.stdin ? detachKeys : null,
          onDetach: () => container.emit("detach"),
        });
      },
    ),
  ];
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
