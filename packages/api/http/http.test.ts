import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { Type } from "@sinclair/typebox";
import { type Context, type Exchange, type Listening, listenUnix, Router, route } from "./index.ts";

const dir = mkdtempSync(`${tmpdir()}/gantry-http-`);
const path = `${dir}/s.sock`;
let listening: Listening;
const seen: { aborted: number; bodies: number } = { aborted: 0, bodies: 0 };

const router = new Router();
router.add([
  route("GET", "/_ping", {}, (context) => context.send(200, {}, "OK")),
  route("POST", "/count", {}, async (context) => {
    let size = 0;
    for await (const chunk of context.exchange.body) size += chunk.length;
    seen.bodies++;
    context.json({ size });
  }),
  route("POST", "/ignore", {}, (context) => context.empty()),
  route("GET", "/big", {}, async (context) => {
    const stream = context.stream();
    for (let i = 0; i < 100; i++) await stream.write(new Uint8Array(1 << 20));
    stream.end();
  }),
  route("GET", "/forever", {}, async (context) => {
    const stream = context.stream();
    stream.json({ hello: 1 });
    await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve()));
    seen.aborted++;
  }),
  route("POST", "/echo", {}, async (context) => {
    const raw = context.hijack("application/vnd.docker.raw-stream");
    for await (const chunk of raw) await raw.write(chunk);
    raw.write(Buffer.from("END"));
    raw.close();
  }),
  route(
    "POST",
    "/things/{name:.*}/json",
    {
      query: Type.Object({ all: Type.Optional(Type.Boolean()), limit: Type.Optional(Type.Integer()) }),
      body: Type.Object({ Tty: Type.Optional(Type.Boolean()), Memory: Type.Optional(Type.Integer()) }),
      bodyName: "CreateRequest",
    },
    (context) =>
      context.json({ name: context.params["name"], query: context.query, body: context.body, api: context.api }),
  ),
]);

async function handle(exchange: Exchange): Promise<void> {
  try {
    await router.handle(exchange);
  } catch (error) {
    exchange.fail(error);
  }
}

beforeAll(() => {
  listening = listenUnix(path, handle);
});
afterAll(() => {
  listening.close(true);
  rmSync(dir, { recursive: true, force: true });
});

function open(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true }, () => resolve(socket));
    socket.on("error", () => {});
  });
}

/** Sends the text and collects everything until the server closes, or `until` is seen. */
async function talk(text: string | Buffer, until?: string): Promise<string> {
  const socket = await open();
  socket.write(text);
  let got = "";
  for await (const chunk of socket) {
    got += chunk.toString("latin1");
    if (until !== undefined && got.includes(until)) break;
  }
  socket.destroy();
  return got;
}

describe("requests", () => {
  test("keep-alive and pipelining answer in order", async () => {
    const got = await talk(
      "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\n\r\nGET /v1.30/_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    expect(got.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"]);
    expect(got).toContain('{"message":"page not found"}');
  });

  test("an unclean path that leads nowhere is sent to the clean one; OPTIONS asks for nothing", async () => {
    const ask = (line: string) => talk(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const got = await ask("GET //v1.51//./a/..//_ping?x=1");
    expect(got).toStartWith("HTTP/1.1 301 ");
    expect(got).toContain("\r\nLocation: /v1.51/_ping?x=1\r\n");
    expect(await ask("GET //x.example/..//..")).toContain("\r\nLocation: /\r\n");
    expect(await ask("OPTIONS /things/x/json")).toStartWith("HTTP/1.1 200 OK\r\n");
  });

  test.each(["\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"])("head in single bytes that ends in %j", async (end) => {
    const socket = await open();
    for (const byte of `GET /_ping HTTP/1.1${end === "\n\n" ? "\n" : "\r\n"}Host: x\r\nConnection: close${end}`) {
      socket.write(byte);
      await Bun.sleep(0);
    }
    let got = "";
    for await (const chunk of socket) got += chunk;
    expect(got).toStartWith("HTTP/1.1 200 OK\r\n");
  });

  test("brackets without end are refused before they cost anything", async () => {
    const body = "[".repeat(4_000_000);
    const head = `POST /things/x/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n`;
    const got = await talk(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    expect(got).toContain("invalid JSON: exceeded max depth");
  });

  test("lines written by hand, with a body", async () => {
    const got = await talk("POST /count HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 4\n\n\n\nab");
    expect(got).toContain('{"size":4}');
    expect(await talk("GET /_ping HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n")).toStartWith(
      "HTTP/1.1 417 Expectation Failed",
    );
  });

  test("a JSON body ends with its value; one bracket more passes, other things do not", async () => {
    const post = async (body: string) => {
      const head = `POST /things/x/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n`;
      const got = await talk(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
      return got.slice(got.indexOf("\r\n\r\n") + 4).trim();
    };
    expect(await post('{"Tty":true} }')).toContain('"body":{"Tty":true}');
    expect(await post('{"Tty":true}]x')).toContain('"body":{"Tty":true}');
    expect(await post('{"Tty":true}{}')).toBe('{"message":"unexpected content after JSON"}');
    expect(await post('{"a":"}\\"}","Tty":true} x')).toBe('{"message":"unexpected content after JSON"}');
    expect(await post('{"Tty":"}')).toBe('{"message":"invalid JSON: unexpected EOF"}');
    expect(await post("tty")).toContain('{"message":"invalid JSON: ');
  });

  test("a version matters only where there is something; any numbers are one", async () => {
    const ask = (path: string) => talk(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(await ask("/v3.4.0/nope")).toContain('{"message":"page not found"}');
    expect(await ask("/v3.4.0/_ping")).toContain("client version 3.4.0 is too new");
    expect(await ask("/v1/_ping")).toContain("client version 1 is too old");
    expect(await ask("/v1.40.7/_ping")).toStartWith("HTTP/1.1 200 ");
  });

  test("versions outside the range are refused in Docker's words", async () => {
    const got = await talk("GET /v1.99/_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(got).toContain("400 Bad Request");
    expect(got).toContain("client version 1.99 is too new. Maximum supported API version is 1.55");
    expect(await talk("GET /v1.20/_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toContain("is too old");
  });

  test("smuggling shapes are refused and the connection closed", async () => {
    const shapes = [
      "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
      "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nabcd",
      "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd",
      "GET /_ping HTTP/1.1\r\nHost: x\r\n X-Fold: y\r\n\r\n",
      "GET /_ping HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
      "GET /_ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
      "GET /_ping HTTP/1.1\r\n\r\n",
      "GET  /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /_ping HTTP/2.0\r\nHost: x\r\n\r\n",
      "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ];
    for (const shape of shapes) {
      const got = await talk(`${shape}GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect([shape, /^HTTP\/1\.1 (4\d\d|50[15]) /.test(got), got.includes("200 OK")]).toEqual([shape, true, false]);
    }
  });

  test("a head that never ends is refused", async () => {
    const got = await talk(Buffer.concat([Buffer.from("GET /_ping HTTP/1.1\r\nA: "), Buffer.alloc(1100000, 97)]));
    expect(got).toContain(" 431 ");
  });

  test("bodies: chunked, long, expected", async () => {
    expect(
      await talk(
        "POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
      ),
    ).toContain('{"size":8}');
    const size = 30_000_000;
    const got = await talk(
      Buffer.concat([
        Buffer.from(`POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`),
        Buffer.alloc(size, 1),
      ]),
    );
    expect(got).toContain(`{"size":${size}}`);
    const socket = await open();
    socket.write(
      "POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    );
    const first = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    expect(first.toString()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    socket.write("abc");
    let rest = "";
    for await (const chunk of socket) rest += chunk;
    expect(rest).toContain('{"size":3}');
  });

  test("a body nobody reads does not hang the client", async () => {
    const got = await talk(
      Buffer.concat([
        Buffer.from("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"),
        Buffer.alloc(3000000),
      ]),
      "\r\n\r\n",
    );
    expect(got).toContain("204 No Content");
    expect(got).toContain("Connection: close");
  });

  test("declared query and body, with Go's errors", async () => {
    const post = (body: string, type = "application/json") =>
      talk(
        `POST /v1.41/things/a/b/json?all=1&limit=3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    expect(await post('{"tty":true,"Memory":null,"Other":[]}')).toContain(
      '{"name":"a/b","query":{"all":true,"limit":3},"body":{"Tty":true},"api":41}',
    );
    expect(await post('{"Tty":"yes"}')).toContain(
      "invalid JSON: json: cannot unmarshal string into Go struct field CreateRequest.Tty of type bool",
    );
    expect(await post("{}", "text/plain")).toContain("unsupported Content-Type header (text/plain)");
    expect(await post("{")).toContain("400 Bad Request");
  });
});

describe("streams", () => {
  test("a slow reader slows the writer, and gets every byte", async () => {
    const socket = await open();
    socket.write("GET /big HTTP/1.0\r\nConnection: close\r\n\r\n");
    let size = 0;
    for await (const chunk of socket) {
      size += (chunk as Buffer).length;
      if (size < 2_000_000) await Bun.sleep(1);
    }
    expect(size).toBeGreaterThan(100 << 20);
    expect(size).toBeLessThan((100 << 20) + 1000);
  });

  test("a client that leaves aborts the handler", async () => {
    const before = seen.aborted;
    await talk("GET /forever HTTP/1.1\r\nHost: x\r\n\r\n", "hello");
    while (seen.aborted === before) await Bun.sleep(5);
    expect(seen.aborted).toBe(before + 1);
  });

  for (const upgrade of ["Connection: Upgrade\r\nUpgrade: tcp\r\n", ""]) {
    test(`hijack ${upgrade === "" ? "without" : "with"} Upgrade, half-close, 20 MB`, async () => {
      const socket = await open();
      socket.write(`POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n${upgrade}\r\nearly`);
      socket.end(Buffer.alloc(20_000_000, 66));
      const parts: Buffer[] = [];
      for await (const chunk of socket) parts.push(chunk as Buffer);
      const all = Buffer.concat(parts);
      const end = all.indexOf("\r\n\r\n");
      expect(all.subarray(0, 12).toString()).toBe(upgrade === "" ? "HTTP/1.1 200" : "HTTP/1.1 101");
      const body = all.subarray(end + 4);
      expect(body.length).toBe(20_000_000 + 5 + 3);
      expect(body.subarray(0, 5).toString()).toBe("early");
      expect(body.subarray(-3).toString()).toBe("END");
    });
  }

  test("a body that comes with a request to hijack is not taken for input", async () => {
    const head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    for (const pieces of [[`${head}{"stdin":true}input`], [head, '{"stdin":', "true}input"]]) {
      const socket = await open();
      for (const piece of pieces) {
        socket.write(piece);
        await Bun.sleep(10);
      }
      socket.end();
      let got = "";
      for await (const chunk of socket) got += chunk;
      expect(got.slice(got.indexOf("\r\n\r\n") + 4)).toBe("inputEND");
    }
  });
});

test("types of the context follow the declaration", () => {
  route(
    "GET",
    "/x",
    { query: Type.Object({ a: Type.Optional(Type.Boolean()) }) },
    (context: Context<{ a?: boolean }>) => context.json(context.query.a === true),
  );
});
