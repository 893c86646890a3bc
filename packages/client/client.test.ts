import { afterEach, describe, expect, test } from "bun:test";
import { ApiError, ConnectionError, Docker, frame, type ProtocolError, readText } from "./index.ts";
import { type FakeEngine, fakeEngine, reply } from "./testing.ts";

let engine: FakeEngine | undefined;
afterEach(async () => {
  await engine?.close();
  engine = undefined;
});

const client = (options = {}) => new Docker({ host: engine!.host, ...options });
const caught = <T>(promise: Promise<T>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error) => error,
  );

describe("requests and answers", () => {
  test("JSON with a length, over one connection that is kept", async () => {
    engine = await fakeEngine(() => reply(200, [{ Id: "a" }]));
    const docker = client();
    expect(await docker.containers.list()).toEqual([{ Id: "a" }] as never);
    expect(await docker.containers.list({ all: true, filters: { status: ["running"], label: [] } })).toHaveLength(1);
    expect(engine.connections()).toBe(1);
    expect(engine.requests.map(({ method, target }) => `${method} ${decodeURIComponent(target)}`)).toEqual([
      "GET /v1.51/containers/json",
      'GET /v1.51/containers/json?all=1&filters={"status":{"running":true}}',
    ]);
    docker.close();
  });

  test("a chunked answer cut at every byte", async () => {
    const whole = Buffer.from(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n5;x=y\r\n{"Id"\r\n4\r\n:"a"\r\n1\r\n}\r\n0\r\nTrailer: t\r\n\r\n',
    );
    engine = await fakeEngine(() => ({ socket }) => {
      const send = (at: number) => {
        if (at < whole.length) {
          socket.write(whole.subarray(at, at + 1));
          setImmediate(() => send(at + 1));
        }
      };
      send(0);
    });
    expect(await client().json<unknown>("GET", "/x")).toEqual({ Id: "a" });
  });

  test("an answer that ends with the connection", async () => {
    engine = await fakeEngine(() => ({ socket }) => {
      socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
    });
    expect(await client().text("GET", "/x")).toBe("all of it");
  });

  test("an answer that breaks off is an error, never a short one", async () => {
    engine = await fakeEngine(() => ({ socket }) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    });
    expect(((await caught(client().text("GET", "/x"))) as ProtocolError).message).toBe("unexpected EOF");
  });

  test("what is not HTTP, a hostile length and an endless head are refused", async () => {
    const answers = [
      "garbage\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1e99\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(200_000)}`,
    ];
    engine = await fakeEngine(() => answers.shift()!);
    for (let i = answers.length; i > 0; i--) {
      expect(((await caught(client().text("GET", "/x"))) as Error).name).toBe("ProtocolError");
    }
  });

  test("a kept connection that the engine has dropped is replaced without a word", async () => {
    engine = await fakeEngine(({ socket }) => {
      setImmediate(() => socket.destroy());
      return reply(200, "ok");
    });
    const docker = client();
    for (let i = 0; i < 3; i++) {
      expect(await docker.text("GET", "/x")).toBe("ok");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(engine.connections()).toBe(3);
  });

  test("a body is streamed in chunks, after the version has been agreed on", async () => {
    engine = await fakeEngine(({ target }) => reply(200, "", target === "/_ping" ? { "Api-Version": "1.40" } : {}));
    async function* tar() {
      for (let i = 0; i < 50; i++) yield new Uint8Array(100_000).fill(i);
    }
    await client().containers.putArchive("c", "/tmp", tar());
    const [ping, put] = engine.requests;
    expect(ping!.target).toBe("/_ping");
    expect(put!.target).toBe("/v1.40/containers/c/archive?path=%2Ftmp");
    expect(put!.body.length).toBe(5_000_000);
    expect(put!.body[4_999_999]).toBe(49);
  });

  test("a line break cannot smuggle a header in", async () => {
    engine = await fakeEngine(() => reply(200, "ok"));
    await client({ headers: { "X-Test": "a\r\nX-Evil: b" } }).text("GET", "/x");
    expect(engine.requests[0]!.headers["x-evil"]).toBeUndefined();
    expect(engine.requests[0]!.headers["x-test"]).toBe("a X-Evil: b");
  });

  test("a slow reader holds the engine back and loses nothing", async () => {
    const size = 20_000_000;
    engine = await fakeEngine(() => ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(Buffer.alloc(size, 7));
    });
    const response = await client().call("GET", "/x");
    let length = 0;
    for await (const chunk of response.body) {
      if (length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      length += chunk.length;
    }
    expect(length).toBe(size);
  });
});

describe("versions", () => {
  test("an older engine is met without an extra question", async () => {
    engine = await fakeEngine(({ target }) =>
      target.startsWith("/v1.51/")
        ? reply(400, { message: "client version 1.51 is too new. Maximum supported API version is 1.43" })
        : reply(200, []),
    );
    const docker = client();
    expect(await docker.containers.list()).toEqual([]);
    expect(docker.apiVersion).toBe("1.43");
    await docker.containers.list();
    expect(engine.requests.map(({ target }) => target)).toEqual([
      "/v1.51/containers/json",
      "/v1.43/containers/json",
      "/v1.43/containers/json",
    ]);
  });

  test("a fixed version stays", async () => {
    engine = await fakeEngine(() =>
      reply(400, { message: "client version 1.44 is too new. Maximum supported API version is 1.43" }),
    );
    const error = await caught(client({ apiVersion: "1.44" }).containers.list());
    expect((error as ApiError).message).toStartWith("client version 1.44 is too new");
  });
});

describe("errors", () => {
  test("the engine's words and status", async () => {
    engine = await fakeEngine(() => reply(404, { message: "No such container: x" }));
    const error = await caught(client().containers.inspect("x"));
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 404, message: "No such container: x" });
  });

  test("an error that is not JSON", async () => {
    engine = await fakeEngine(() => reply(502, "bad gateway\n"));
    expect(await caught(client().containers.inspect("x"))).toMatchObject({ status: 502, message: "bad gateway" });
  });

  test("nobody listens", async () => {
    const docker = new Docker({ host: "unix:///nonexistent/engine.sock" });
    const error = await caught(docker.system.ping());
    expect(error).toBeInstanceOf(ConnectionError);
    expect((error as Error).message).toBe(
      "Cannot connect to the Docker daemon at unix:///nonexistent/engine.sock. Is the docker daemon running?",
    );
    expect((error as ConnectionError).code).toBe("ENOENT");
  });

  test("an engine that is started on demand is tried again, once", async () => {
    const path = `/tmp/gantry-late-${process.pid}.sock`;
    let asked = 0;
    const docker = new Docker({
      host: `unix://${path}`,
      onUnreachable: async () => {
        asked++;
        return true;
      },
    });
    expect(await caught(docker.system.ping())).toBeInstanceOf(ConnectionError);
    expect(asked).toBe(1);
  });

  test("an abort ends a call in the middle of its answer", async () => {
    engine = await fakeEngine(() => ({ socket }) => {
      socket.write(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n",
      );
    });
    const abort = new AbortController();
    const seen: unknown[] = [];
    const error = await caught(
      (async () => {
        for await (const event of await client().system.events({ signal: abort.signal })) {
          seen.push(event);
          abort.abort(new Error("enough"));
        }
      })(),
    );
    expect(seen).toEqual([{}]);
    expect((error as Error).message).toBe("enough");
    const before = await caught(client().containers.create({}, { signal: AbortSignal.abort(new Error("never")) }));
    expect((before as Error).message).toBe("never");
  });
});

describe("streams", () => {
  test("attach: frames in both sizes, half-close, output after the end of input", async () => {
    engine = await fakeEngine(() => ({ socket }) => {
      socket.write(
        "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
      );
      socket.write(frame("stdout", Buffer.from("first")));
      const parts: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => parts.push(chunk));
      socket.on("end", () => {
        socket.write(frame("stdout", Buffer.concat(parts)));
        socket.end(frame("stderr", Buffer.from("bye")));
      });
    });
    const stream = await client().containers.attach("c", { stdin: true, stdout: true, stderr: true });
    expect(stream.multiplexed).toBe(true);
    const got = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[], stdin: [] as Uint8Array[] };
    const done = stream.split((name, bytes) => got[name].push(bytes.slice()));
    const sent = Buffer.alloc(3_000_000, "x");
    for (let at = 0; at < sent.length; at += 100_000) await stream.write(sent.subarray(at, at + 100_000));
    stream.closeWrite();
    await done;
    expect(Buffer.concat(got.stdout).equals(Buffer.concat([Buffer.from("first"), sent]))).toBe(true);
    expect(Buffer.concat(got.stderr).toString()).toBe("bye");
    expect(engine.requests[0]!.headers.upgrade).toBe("tcp");
  });

  test("a raw stream of an old engine, with bytes right behind the head", async () => {
    engine = await fakeEngine(() => ({ socket }) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nhello");
    });
    const stream = await client().execs.attach("e", { tty: true });
    let text = "";
    for await (const chunk of stream) text += Buffer.from(chunk).toString();
    expect(text).toBe("hello");
  });

  test("a refused upgrade is the engine's error", async () => {
    engine = await fakeEngine(() => reply(409, { message: "container is paused" }));
    expect(await caught(client().containers.attach("c"))).toMatchObject({
      status: 409,
      message: "container is paused",
    });
  });

  test("a wait is registered before its end", async () => {
    let finish = () => {};
    engine = await fakeEngine(() => ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      finish = () => socket.write('10\r\n{"StatusCode":7}\r\n0\r\n\r\n');
    });
    const { done } = await client().containers.wait("c", "next-exit");
    finish();
    expect(await done).toEqual({ StatusCode: 7 });
  });

  test("connections made ahead are used", async () => {
    engine = await fakeEngine(() => reply(200, "ok"));
    const docker = client();
    docker.warm(2);
    expect(await docker.text("GET", "/x")).toBe("ok");
    const response = await docker.call("GET", "/y");
    expect(await readText(response)).toBe("ok");
    expect(engine.connections()).toBe(2);
    docker.close();
  });
});
