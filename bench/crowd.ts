/**
 * A crowded network: 500 containers on one network of the engine at DOCKER_HOST (which needs an image "busybox"), 40 published ports
 * each, 20,000 in all. Prints the starts of the first and the last twenty, what a request takes for one more port beside them, and the
 * removal. Usage: bun bench/crowd.ts [containers] [ports of each]
 */
const count = Number(process.argv[2] ?? 500);
const each = Number(process.argv[3] ?? 40);
const FIRST = 12_000;
const unix = (process.env["DOCKER_HOST"] ?? "unix:///run/gantry.sock").replace("unix://", "");

async function call(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`http://gantry${path}`, {
    method,
    unix,
    headers: { "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status >= 300) throw new Error(`${method} ${path}: ${text}`);
  return text === "" ? null : JSON.parse(text);
}

const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0;
const ids: string[] = [];

async function start(first: number, ports: number): Promise<number> {
  const bindings = Object.fromEntries(
    Array.from({ length: ports }, (_, i) => [`${1000 + i}/tcp`, [{ HostPort: String(first + i) }]]),
  );
  const begun = performance.now();
  const { Id } = (await call("POST", "/containers/create", {
    Image: "busybox",
    Cmd: ["sleep", "100000"],
    ExposedPorts: Object.fromEntries(Object.keys(bindings).map((port) => [port, {}])),
    HostConfig: { NetworkMode: "crowd", PortBindings: bindings },
  })) as { Id: string };
  ids.push(Id);
  await call("POST", `/containers/${Id}/start`);
  return performance.now() - begun;
}

await call("POST", "/networks/create", { Name: "crowd", IPAM: { Config: [{ Subnet: "10.251.0.0/20" }] } });
try {
  const begun = performance.now();
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await start(FIRST + i * each, each));
  const total = (performance.now() - begun) / 1000;
  const [first, last] = [median(times.slice(0, 20)), median(times.slice(-20))];
  console.log(`${count} containers, ${count * each} ports: ${total.toFixed(1)} s`);
  console.log(`first 20: ${first.toFixed(1)} ms, last 20: ${last.toFixed(1)} ms, ratio ${(last / first).toFixed(2)}`);
  const one = await start(FIRST + count * each, 1);
  console.log(`one more with one port: ${one.toFixed(1)} ms; with 206: ${(await start(55_000, 206)).toFixed(1)} ms`);
} finally {
  const begun = performance.now();
  for (let at = 0; at < ids.length; at += 8) {
    await Promise.all(ids.slice(at, at + 8).map((id) => call("DELETE", `/containers/${id}?force=1`)));
  }
  await call("DELETE", "/networks/crowd");
  console.log(`removed in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}

export {};
