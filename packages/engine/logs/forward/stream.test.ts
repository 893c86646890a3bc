import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { createServer as createTlsServer } from "node:tls";
import { MapReader } from "./msgpack.ts";
import { connectStream, type StreamOptions } from "./stream.ts";
import { until } from "./testing.ts";

const root = mkdtempSync(`${tmpdir()}/gantry-stream-`);
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(root, { recursive: true, force: true });
});

const limits: StreamOptions = { timeout: 40_000, writeTimeout: 0 };

/** A server on a free port (or path): what its connections are, and what they read. */
async function serve(handler: (socket: Socket) => void, path?: string): Promise<{ port: string; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    handler(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => (path ? server.listen(path, resolve) : server.listen(0, "127.0.0.1", resolve)));
  const address = server.address();
  return { port: typeof address === "object" ? String(address?.port) : "", sockets };
}

test("what cannot be reached is told in Go's words", async () => {
  const { port } = await serve(() => {});
  servers.pop()?.close();
  const tcp = (host: string, to = port) => connectStream({ type: "tcp", host, port: to }, limits);
  await expect(tcp("127.0.0.1")).rejects.toThrow(`dial tcp 127.0.0.1:${port}: connect: connection refused`);
  await expect(tcp("nosuch.invalid")).rejects.toThrow("dial tcp: lookup nosuch.invalid: no such host");
  await expect(tcp("127.0.0.1", "99999")).rejects.toThrow("dial tcp: address 99999: invalid port");
  const unix = connectStream({ type: "unix", path: `${root}/none` }, limits);
  await expect(unix).rejects.toMatchObject({
    message: `dial unix ${root}/none: connect: no such file or directory`,
    kind: "invalidParameter",
  });
});

test.each(["tcp", "unix"])("%s: bytes in order under back pressure, delivered as they are read", async (type) => {
  const path = `${root}/sock`;
  let received = 0;
  let bad = 0;
  const { port, sockets } = await serve(
    (socket) => {
      socket.pause();
      socket.on("data", (chunk) => {
        for (const byte of chunk) if (byte !== received++ % 251) bad++;
      });
    },
    type === "unix" ? path : undefined,
  );
  const connection = await connectStream(
    type === "unix" ? { type, path } : { type: "tcp", host: "127.0.0.1", port },
    limits,
  );
  const total = 24 << 20;
  const block = Buffer.from(Array.from({ length: 251 << 10 }, (_, i) => i % 251));
  let written = 0;
  const writing = (async () => {
    for (; written < total; written += block.length) await connection.write({ data: [block] });
  })();
  await until(() => sockets.length === 1);
  await Bun.sleep(200);
  // Far from all: the rest waits with us.
  expect(written).toBeLessThan(total / 2);
  expect(connection.delivered()).toBeLessThan(total / 2);
  sockets[0]?.resume();
  await writing;
  await until(() => connection.delivered() === written);
  await until(() => received === written);
  expect(bad).toBe(0);
  connection.close();
});

test("an end is clean or not, and breaks what is written", async () => {
  const { port, sockets } = await serve((socket) => socket.pause());
  const open = () => connectStream({ type: "tcp", host: "127.0.0.1", port }, limits);
  const first = await open();
  await until(() => sockets.length === 1);
  sockets[0]?.end();
  sockets[0]?.resume();
  await until(() => first.failed() !== null);
  expect(first.failed()?.clean).toBe(true);
  await expect(first.write({ data: [Buffer.from("x")] })).rejects.toThrow();

  const second = await open();
  await until(() => sockets.length === 2);
  await second.write({ data: [Buffer.alloc(1000)] });
  await until(() => second.delivered() === 1000);
  const stuck = second.write({ data: [Buffer.alloc(32 << 20)] });
  stuck.catch(() => {});
  await Bun.sleep(50);
  sockets[1]?.resetAndDestroy();
  await expect(stuck).rejects.toThrow();
  expect(second.failed()?.clean).toBe(false);
});

test("a write that does not get on within its time breaks the connection", async () => {
  const { port } = await serve((socket) => socket.pause());
  const connection = await connectStream({ type: "tcp", host: "127.0.0.1", port }, { timeout: 0, writeTimeout: 100 });
  await expect(connection.write({ data: [Buffer.alloc(32 << 20)] })).rejects.toThrow("i/o timeout");
  expect(connection.failed()).toMatchObject({ clean: false });
});

test("acknowledgements are what counts as delivered; a wrong one breaks the connection", async () => {
  const { port, sockets } = await serve(() => {});
  const reader = new MapReader();
  const acks = (chunk: Uint8Array) => reader.push(chunk).map((map) => map["ack"] ?? "");
  const connection = await connectStream({ type: "tcp", host: "127.0.0.1", port }, { ...limits, acks });
  expect(connection.certain).toBe(true);
  await connection.write({ data: [Buffer.alloc(30)], acks: ["a", "b", "c"].map((id) => ({ id, bytes: 10 })) });
  const answer = (id: string) => Buffer.from(`\x81\xa3ack\xa1${id}`, "latin1");
  await until(() => sockets.length === 1);
  expect(connection.delivered()).toBe(0);
  const two = Buffer.concat([answer("a"), answer("b")]);
  sockets[0]?.write(two.subarray(0, 9));
  await until(() => connection.delivered() === 10);
  sockets[0]?.write(two.subarray(9));
  await until(() => connection.delivered() === 20);
  sockets[0]?.write(answer("x"));
  await until(() => connection.failed() !== null);
  expect([connection.failed()?.clean, connection.delivered()]).toEqual([false, 20]);
});

test("MapReader takes what comes in pieces, and refuses what is no map of texts", () => {
  const text = Buffer.from(`\x82\xa3ack\xda\x01\x2c${"x".repeat(300)}\xa1y\xa0`, "latin1");
  const reader = new MapReader();
  const maps = [...text].flatMap((byte) => reader.push(Buffer.from([byte])));
  expect(maps.map((map) => ({ ...map }))).toEqual([{ ack: "x".repeat(300), y: "" }]);
  for (const bytes of [[0x93], [0x81, 0x01], [0x81, 0xa1, 0x61, 0xc0]])
    expect(() => new MapReader().push(Buffer.from(bytes))).toThrow();
  expect(() =>
    new MapReader().push(Buffer.concat([Buffer.from([0x81, 0xdb, 0x7f, 0xff, 0xff, 0xff]), Buffer.alloc(2 << 20)])),
  ).toThrow("without end");
});

const openssl = Bun.which("openssl");
test.skipIf(openssl === null)("TLS: its own authority, the name that is checked, and neither", async () => {
  const key = `${root}/key.pem`;
  const cert = `${root}/cert.pem`;
  Bun.spawnSync(
    [
      openssl as string,
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
    ].concat(["-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]),
    { stderr: "ignore" },
  );
  let text = "";
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      text += chunk;
    });
  });
  servers.push(server);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = String((server.address() as { port: number }).port);
  const open = (host: string, more: { ca?: string; skipVerify?: boolean }) =>
    connectStream({ type: "tls", host, port, tls: { ca: "", cert: "", key: "", skipVerify: false, ...more } }, limits);
  const connection = await open("localhost", { ca: cert });
  await connection.write({ data: [Buffer.from("hello")] });
  await until(() => text === "hello" && connection.delivered() === 5);
  connection.close();
  await expect(open("localhost", {})).rejects.toThrow("tls: failed to verify certificate: x509: ");
  await expect(open("127.0.0.1", { ca: cert })).rejects.toThrow("tls: failed to verify certificate: x509: ");
  (await open("127.0.0.1", { skipVerify: true })).close();
  await expect(open("localhost", { ca: `${root}/none` })).rejects.toThrow(
    `could not read CA certificate "${root}/none": open ${root}/none: no such file or directory`,
  );
});
