import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One request as it came. */
export interface FakeRequest {
  method: string;
  target: string;
  headers: Record<string, string>;
  body: Buffer;
  socket: Socket;
}

/** An engine for tests: a server on a unix socket whose answers are written byte by byte by the test. */
export interface FakeEngine {
  host: string;
  requests: FakeRequest[];
  /** How many connections were made. */
  connections(): number;
  close(): Promise<void>;
}

type Answer = string | Uint8Array | ((request: FakeRequest) => void);

/** Starts one; `answer` gives raw HTTP (or writes it itself) for each request. */
export async function fakeEngine(answer: (request: FakeRequest) => Answer | Promise<Answer>): Promise<FakeEngine> {
  const dir = mkdtempSync(join(tmpdir(), "gantry-fake-"));
  const path = join(dir, "engine.sock");
  const requests: FakeRequest[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let pending: Buffer = Buffer.alloc(0);
    let handed = false;
    const onData = async (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const parsed = handed ? undefined : parse(pending);
        if (!parsed) return;
        pending = parsed.rest;
        const request = { ...parsed.request, socket };
        requests.push(request);
        const given = await answer(request);
        if (typeof given === "function") {
          handed = true;
          socket.off("data", onData);
          if (pending.length > 0) socket.unshift(pending);
          given(request);
          return;
        }
        socket.write(given);
      }
    };
    socket.on("data", onData);
    socket.on("end", () => {
      if (!handed) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    host: `unix://${path}`,
    requests,
    connections: () => connections,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A whole answer. */
export function reply(status: number, body: string | object = "", headers: Record<string, string> = {}): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const all: Record<string, string> = {
    "Content-Type": typeof body === "string" ? "text/plain" : "application/json",
    "Content-Length": String(Buffer.byteLength(text)),
    "Api-Version": "1.51",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n${text}`;
}

function parse(bytes: Buffer): { request: Omit<FakeRequest, "socket">; rest: Buffer } | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  let rest = bytes.subarray(end + 4);
  let body = Buffer.alloc(0);
  if (headers["transfer-encoding"] === "chunked") {
    for (;;) {
      const line = rest.indexOf("\r\n");
      if (line < 0) return undefined;
      const size = Number.parseInt(rest.subarray(0, line).toString(), 16);
      if (rest.length < line + 2 + size + 2) return undefined;
      body = Buffer.concat([body, rest.subarray(line + 2, line + 2 + size)]);
      rest = rest.subarray(line + 2 + size + 2);
      if (size === 0) break;
    }
  } else {
    const length = Number(headers["content-length"] ?? 0);
    if (rest.length < length) return undefined;
    body = Buffer.from(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return { request: { method, target, headers, body }, rest };
}
