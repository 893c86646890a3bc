import { afterAll, beforeAll, expect, test } from "bun:test";
import { CLONE_NEW, close, inNetworkNamespace, open, setns, unshare } from "@gantry/sys";
import type { Resolver, ResolverSandbox } from "../resolver.ts";
import { openResolver } from "./resolver.ts";

let netns: number;
let resolver: Resolver;

/** A process that sits in a new network namespace with its loopback up, and our descriptor of that namespace. */
beforeAll(() => {
  const home = open("/proc/thread-self/ns/net", 0);
  unshare(CLONE_NEW.NET);
  netns = open("/proc/thread-self/ns/net", 0);
  setns(home, CLONE_NEW.NET);
  close(home);
  inNetworkNamespace(netns, () => Bun.spawnSync(["ip", "link", "set", "lo", "up"]).exitCode);
  resolver = openResolver();
});

afterAll(async () => {
  await resolver.shutdown();
  close(netns);
});

const sandbox = (): ResolverSandbox => ({
  containerId: "me",
  namespaceFd: netns,
  upstreams: [],
  internal: false,
  options: [],
  search: [],
  links: {},
});

/** Runs Python in the namespace: the resolver of its C library, and sockets, as programs in containers have them. */
async function inside(script: string): Promise<string> {
  const child = inNetworkNamespace(netns, () => ({
    process: Bun.spawn(["python3", "-c", script], { stdout: "pipe", stderr: "pipe" }),
  }));
  const [out, err] = await Promise.all([
    new Response(child.process.stdout).text(),
    new Response(child.process.stderr).text(),
  ]);
  return (out + err).trim();
}

const LOOKUP = `
import socket, struct
def ask(name, kind=1, tcp=False):
    q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0" + struct.pack(">HH", kind, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM); s.settimeout(30); s.connect(("127.0.0.11", 53))
    if tcp: s.sendall(struct.pack(">H", len(q)) + q); r = s.recv(4096)[2:]
    else: s.send(q); r = s.recv(4096)
    return r[3] & 15, ".".join(str(b) for b in r[-4:])
`;

test("a program in the namespace resolves names at port 53 over UDP and TCP, and may bind port 53 itself", async () => {
  resolver.addEndpoint({
    networkId: "n",
    networkName: "net",
    containerId: "me",
    names: ["me"],
    ipv4: ["10.0.0.2"],
    ipv6: [],
    links: {},
  });
  await resolver.addSandbox(sandbox());
  resolver.addEndpoint({
    networkId: "n",
    networkName: "net",
    containerId: "db",
    names: ["db"],
    ipv4: ["10.0.0.7"],
    ipv6: [],
    links: {},
  });
  const out = await inside(`${LOOKUP}
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.bind(("0.0.0.0", 53))
own2 = socket.socket(); own2.bind(("0.0.0.0", 53)); own2.listen()
print(ask("db"), ask("db", tcp=True), ask("unknown")[0])`);
  expect(out).toBe("(0, '10.0.0.7') (0, '10.0.0.7') 2");
});

test("opening a sandbox again (a new daemon) serves on new sockets with new records", async () => {
  const second = openResolver();
  second.addEndpoint({
    networkId: "n",
    networkName: "net",
    containerId: "me",
    names: ["me"],
    ipv4: ["10.0.0.2"],
    ipv6: [],
    links: {},
  });
  second.addEndpoint({
    networkId: "n",
    networkName: "net",
    containerId: "db",
    names: ["db"],
    ipv4: ["10.0.0.99"],
    ipv6: [],
    links: {},
  });
  await second.addSandbox(sandbox());
  expect(await inside(`${LOOKUP}\nprint(ask("db"))`)).toBe("(0, '10.0.0.99')");
  await second.shutdown();
});

test("a program that asks from one and the same port is led to the resolver that is there now", async () => {
  const ask = `${LOOKUP.replace("s.settimeout(30);", 's.settimeout(30); s.bind(("127.0.0.1", 40999));')}\nprint(ask("db")[0])`;
  await resolver.addSandbox(sandbox());
  const other = openResolver();
  // The first one's sockets hold the usual port, so this one takes another, which goes with it.
  await other.addSandbox(sandbox());
  expect(await inside(ask)).toBe("2");
  await other.shutdown();
  await resolver.addSandbox(sandbox());
  expect(await inside(ask)).toBe("0");
});

test("a question that is under way while the sandbox changes gets its answer", async () => {
  const here = { ...sandbox(), upstreams: [{ address: "127.0.0.53", fromHost: false }] };
  await resolver.addSandbox(here);
  const script = `
import socket
up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); up.bind(("127.0.0.53", 53)); up.settimeout(30)
me = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); me.connect(("127.0.0.11", 53)); me.settimeout(30)
q = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4else\\5where\\0\\0\\1\\0\\1"
me.send(q)
asked, who = up.recvfrom(512)
print("asked", flush=True)
input()
up.sendto(asked[:2] + b"\\x81\\x80" + asked[4:], who)
try: print(me.recv(512)[3] & 15)
except OSError as e: print(e)
`;
  const child = inNetworkNamespace(netns, () => ({
    process: Bun.spawn(["python3", "-c", script], { stdin: "pipe", stdout: "pipe", stderr: "inherit" }),
  })).process;
  let said = "";
  const asked = Promise.withResolvers<void>();
  const read = (async () => {
    for await (const chunk of child.stdout) {
      said += new TextDecoder().decode(chunk);
      if (said.includes("asked\n")) asked.resolve();
    }
  })();
  await asked.promise;
  resolver.changeSandbox(here);
  child.stdin.write("\n");
  child.stdin.end();
  await read;
  expect(said).toBe("asked\n0\n");
  await resolver.addSandbox(sandbox());
});

test("50 connections' worth of queries are all answered", async () => {
  await resolver.addSandbox(sandbox());
  const out = await inside(`${LOOKUP}
import threading
bad = []
def work():
    for i in range(40):
        if ask("db") != (0, "10.0.0.7"): bad.append(1)
threads = [threading.Thread(target=work) for i in range(50)]
[t.start() for t in threads]; [t.join() for t in threads]
print("bad", len(bad))`);
  expect(out).toBe("bad 0");
});

/** Keeps `window` queries under way until `total` were asked; prints how many right answers came, and how fast. */
const FLOOD = `
// Sixteen sockets: what one can hold of answers would not do for a window of this size.
const [total, window, sockets] = [50_000, 1024, 16];
const query = Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 100, 98, 0, 0, 1, 0, 1]);
let [asked, right, wrong] = [0, 0, 0];
const begun = performance.now();
const finished = Promise.withResolvers();
const ask = (socket, count) => {
  const batch = Array(Math.min(count, total - asked)).fill(query);
  asked += batch.length;
  for (let sent = 0; sent < batch.length; ) sent += socket.sendMany(batch.slice(sent));
};
const all = [];
for (let i = 0; i < sockets; i++) {
  let credit = 0;
  all.push(await Bun.udpSocket({
    connect: { hostname: "127.0.0.11", port: 53 },
    socket: {
      data(socket, answer) {
        if (answer[1] === 7 && (answer[3] & 15) === 0 && answer.subarray(-4).join(".") === "10.0.0.7") right++;
        else wrong++;
        if (right + wrong === total) finished.resolve();
        if (++credit < 32) return;
        credit = 0;
        ask(socket, 32);
      },
    },
  }));
}
for (const socket of all) ask(socket, window / sockets);
await Promise.race([finished.promise, Bun.sleep(200_000)]);
const seconds = (performance.now() - begun) / 1000;
console.log(JSON.stringify({ right, wrong, perSecond: Math.round(right / seconds) }));
process.exit(0);
`;

test("50,000 queries at a thousand under way all get their answer, and another program its own meanwhile", async () => {
  await resolver.addSandbox(sandbox());
  const flood = inNetworkNamespace(netns, () => ({
    process: Bun.spawn([process.execPath, "-e", FLOOD], { stdout: "pipe", stderr: "inherit" }),
  })).process;
  const [text, meanwhile] = await Promise.all([
    new Response(flood.stdout).text(),
    inside(`${LOOKUP}\nprint(*{ask("db") for i in range(20)})`),
  ]);
  const { right, wrong, perSecond } = JSON.parse(text) as Record<string, number>;
  console.log(`resolver: ${perSecond} queries a second`);
  expect({ right, wrong }).toEqual({ right: 50_000, wrong: 0 });
  expect(meanwhile).toBe("(0, '10.0.0.7')");
}, 240_000);
