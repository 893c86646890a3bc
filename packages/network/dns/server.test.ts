import { afterEach, beforeEach, expect, test } from "bun:test";
import { AF, bind, close, inetAddress, libc, listen, MSG, SOCK, socket, socketpair, writeAll } from "@gantry/sys";
import { Type, writeName } from "./message.ts";
import { DnsServer } from "./server.ts";
import { type Control, listenTo } from "./worker.ts";

const LOOPBACK = new Uint8Array([127, 0, 0, 1]);

function boundSocket(type: number): { fd: number; port: number } {
  const fd = socket(AF.INET, type | SOCK.NONBLOCK);
  bind(fd, inetAddress(LOOPBACK, 0));
  if (type === SOCK.STREAM) listen(fd, 64);
  const name = new Uint8Array(16);
  libc.getsockname(fd, name, new Uint32Array([16]));
  return { fd, port: (name[2]! << 8) | name[3]! };
}

function query(name: string, type: number, id = 7): Uint8Array {
  return new Uint8Array([
    id >> 8,
    id & 0xff,
    1,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    ...writeName(name),
    type >> 8,
    type & 0xff,
    0,
    1,
  ]);
}

let server: DnsServer;
let pump: ReturnType<typeof setInterval>;
let upstream: Awaited<ReturnType<typeof startUpstream>>;
let port = 0;
let tcpPort = 0;

/** An upstream on UDP (and TCP on the same port) that answers by name: "dead" not at all, "held" once `release` is called, others 9.9.9.9. */
async function startUpstream() {
  const seen: string[] = [];
  const held: (() => void)[] = [];
  const reply = (packet: Uint8Array): Uint8Array => {
    const out = new Uint8Array(packet.length + 16);
    out.set(packet);
    out[2] = 0x81;
    out[3] = 0x80;
    out[7] = 1;
    out.set([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 9, 9, 9, 9], packet.length);
    return out;
  };
  const udp = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data(sock, data, fromPort, address) {
        const packet = new Uint8Array(data);
        const first = new TextDecoder().decode(packet.subarray(13, 13 + packet[12]!));
        seen.push(first);
        if (first === "dead") return;
        const answer = reply(packet);
        if (first === "forged") {
          const wrong = answer.slice();
          wrong[0] = wrong[0]! ^ 0xff;
          sock.send(wrong, fromPort, address);
        }
        if (first === "held") held.push(() => sock.send(answer, fromPort, address));
        else sock.send(answer, fromPort, address);
      },
    },
  });
  const tcp = Bun.listen({
    hostname: "127.0.0.1",
    port: udp.port,
    socket: {
      data(sock, data) {
        const answer = reply(new Uint8Array(data.subarray(2)));
        sock.write(new Uint8Array([answer.length >> 8, answer.length & 0xff, ...answer]));
      },
    },
  });
  return {
    seen,
    port: udp.port,
    release: () => {
      for (const answer of held.splice(0)) answer();
    },
    stop: () => {
      udp.close();
      tcp.stop(true);
    },
  };
}

/** Opens the server; `timeoutMs` is how long it waits for an upstream: no test of an answer is to end by it. */
async function open(timeoutMs = 30_000) {
  upstream = await startUpstream();
  server = new DnsServer({ timeoutMs, port: upstream.port, perContainer: 20 });
  const udp = boundSocket(SOCK.DGRAM);
  const tcp = boundSocket(SOCK.STREAM);
  port = udp.port;
  tcpPort = tcp.port;
  server.addSandbox({
    containerId: "c1",
    udp: udp.fd,
    tcp: tcp.fd,
    upstreams: [{ address: "127.0.0.1", fromHost: true }],
    netns: -1,
    ndotsSet: false,
  });
  server.records.set({
    networkId: "n",
    networkName: "net",
    containerId: "c1",
    names: ["self"],
    ipv4: ["10.0.0.2"],
    ipv6: [],
    links: {},
  });
  server.records.set({
    networkId: "n",
    networkName: "net",
    containerId: "c2",
    names: ["web"],
    ipv4: ["10.0.0.3"],
    ipv6: [],
    links: {},
  });
  pump = setInterval(() => server.turn(0), 1);
}

function shut() {
  clearInterval(pump);
  server.close();
  upstream.stop();
}

beforeEach(() => open());
afterEach(shut);

async function ask(packet: Uint8Array, timeoutMs = 30_000): Promise<Uint8Array | null> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | null>();
  const client = await Bun.udpSocket({ socket: { data: (_s, data) => resolve(new Uint8Array(data)) } });
  client.send(packet, port, "127.0.0.1");
  const timer = setTimeout(() => resolve(null), timeoutMs);
  const answer = await promise;
  clearTimeout(timer);
  client.close();
  return answer;
}

test("a container's name is answered here, another's is forwarded with the client's ID restored", async () => {
  const own = (await ask(query("WEB", Type.A)))!;
  expect([own[3]! & 15, own[7], ...own.subarray(-4)]).toEqual([0, 1, 10, 0, 0, 3]);
  expect(upstream.seen).toEqual([]);
  const other = (await ask(query("example.org", Type.A, 0xabcd)))!;
  expect([other[0], other[1], ...other.subarray(-4)]).toEqual([0xab, 0xcd, 9, 9, 9, 9]);
});

test("a known name without an address of the family is empty, not forwarded; PTR gives name.network", async () => {
  const aaaa = (await ask(query("web", Type.AAAA)))!;
  expect([aaaa[3]! & 15, aaaa[7]]).toEqual([0, 0]);
  const ptr = (await ask(query("3.0.0.10.in-addr.arpa", Type.PTR)))!;
  expect(new TextDecoder().decode(ptr)).toContain("\x03web\x03net\0");
  expect(upstream.seen).toEqual([]);
});

test("a forged answer is passed over", async () => {
  const answer = (await ask(query("forged.example", Type.A)))!;
  expect([...answer.subarray(-4)]).toEqual([9, 9, 9, 9]);
});

test("a dead upstream ends in SERVFAIL and delays no other query", async () => {
  shut();
  await open(150);
  const dead = ask(query("dead.example", Type.A));
  const quick = ask(query("web", Type.A));
  expect(await Promise.race([dead.then(() => "dead"), quick.then(() => "quick")])).toBe("quick");
  expect((await quick)![7]).toBe(1);
  expect((await dead)![3]! & 15).toBe(2);
});

test("more queries under way than a container may have are refused at once", async () => {
  let refused = 0;
  const all = Array.from({ length: 40 }, async (_, i) => {
    const answer = (await ask(query("held.example", Type.A, i)))!;
    if ((answer[3]! & 15) === 2) refused++;
    // The others are under way all the while.
    if (refused === 20) upstream.release();
    return answer[3]! & 15;
  });
  expect((await Promise.all(all)).filter((code) => code === 0)).toHaveLength(20);
  expect([refused, upstream.seen.length]).toEqual([20, 20]);
});

test("a question that is asked after something was told gets no answer from before", () => {
  clearInterval(pump);
  const client = socket(AF.INET, SOCK.DGRAM);
  const to = inetAddress(LOOPBACK, port);
  libc.connect(client, to, to.length);
  const answerTo = (packet: Uint8Array) => {
    libc.send(client, packet, packet.length, 0);
    server.turn(30_000);
    const answer = new Uint8Array(512);
    return answer.subarray(0, Number(libc.recv(client, answer, answer.length, MSG.DONTWAIT)));
  };
  const [mine, theirs] = socketpair(AF.UNIX, SOCK.STREAM);
  listenTo(server, theirs, () => {});
  // Once taken from, the kernel keeps the questions' socket in front of what becomes ready later.
  expect([...answerTo(query("web", Type.A)).subarray(-4)]).toEqual([10, 0, 0, 3]);
  const record = {
    networkId: "n",
    networkName: "net",
    containerId: "c3",
    names: ["new"],
    ipv4: ["10.0.0.4"],
    ipv6: [],
  };
  const news: Control = { op: "endpoint", record: { ...record, links: {} } };
  writeAll(mine, new TextEncoder().encode(`${JSON.stringify(news)}\n`));
  expect([...answerTo(query("new", Type.A)).subarray(-4)]).toEqual([10, 0, 0, 4]);
  for (const fd of [mine, client]) close(fd);
});

test("without upstreams, or for single labels with ndots set, unknown names fail here", async () => {
  for (const [upstreams, ndotsSet, name] of [
    [[], false, "a.example"],
    [[{ address: "127.0.0.1", fromHost: true }], true, "single"],
  ] as const) {
    const udp = boundSocket(SOCK.DGRAM);
    const tcp = boundSocket(SOCK.STREAM);
    port = udp.port;
    server.addSandbox({ containerId: "c1", udp: udp.fd, tcp: tcp.fd, upstreams: [...upstreams], netns: -1, ndotsSet });
    expect((await ask(query(name, Type.A)))![3]! & 15).toBe(2);
  }
  expect(upstream.seen).toEqual([]);
});

test("TCP: several queries on one connection, split at any place, own and forwarded", async () => {
  const frames = [query("web", Type.A, 1), query("example.org", Type.A, 2)].flatMap((q) => [
    q.length >> 8,
    q.length & 0xff,
    ...q,
  ]);
  const got: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port: tcpPort,
    socket: {
      data: (_s, data) => {
        got.push(...data);
        if (got.length >= 2 * (2 + 16) + frames.length - 4) resolve();
      },
    },
  });
  for (const byte of frames) {
    client.write(new Uint8Array([byte]));
    await Bun.sleep(1);
  }
  await promise;
  client.end();
  expect(got).toContain(9);
  const first = (got[0]! << 8) | got[1]!;
  expect(got.slice(2 + first - 4, 2 + first)).toEqual([10, 0, 0, 3]);
  expect(got.slice(-4)).toEqual([9, 9, 9, 9]);
});

test("closing a sandbox closes its sockets", () => {
  const udp = boundSocket(SOCK.DGRAM);
  const tcp = boundSocket(SOCK.STREAM);
  server.addSandbox({ containerId: "x", udp: udp.fd, tcp: tcp.fd, upstreams: [], netns: -1, ndotsSet: false });
  server.removeSandbox("x");
  expect(libc.fcntl(udp.fd, 1, 0)).toBe(-1);
  expect(libc.fcntl(tcp.fd, 1, 0)).toBe(-1);
  close(-1);
});
