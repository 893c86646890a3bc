/**
 * Whether the thousandth container starts as quickly as the first: starts containers one after the other on the default
 * bridge of the engine at DOCKER_HOST (which needs an image "busybox"), prints medians of the first and the last
 * twenty starts by the API, and removes them. Usage: bun bench/many.ts [count] [network mode]
 */
const count = Number(process.argv[2] ?? 1000);
const mode = process.argv[3] ?? "default";
const host = process.env["DOCKER_HOST"] ?? "unix:///run/gantry.sock";

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`http://gantry${path}`, {
    method,
    unix: host.replace("unix://", ""),
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
}

const times: number[] = [];
const ids: string[] = [];
const median = (list: number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;
try {
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    const made = await call("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sleep", "100000"],
      HostConfig: { NetworkMode: mode },
    });
    const { Id } = (await made.json()) as { Id: string };
    ids.push(Id);
    const started = await call("POST", `/containers/${Id}/start`);
    if (started.status !== 204) throw new Error(await started.text());
    times.push(performance.now() - begun);
  }
  const first = median(times.slice(0, 20));
  const last = median(times.slice(-20));
  console.log(
    `create and start, median ms: first 20 ${first.toFixed(1)}, last 20 of ${count} ${last.toFixed(1)}, ratio ${(last / first).toFixed(2)}`,
  );
} finally {
  const begun = performance.now();
  for (let at = 0; at < ids.length; at += 8) {
    await Promise.all(ids.slice(at, at + 8).map((id) => call("DELETE", `/containers/${id}?force=1`)));
  }
  console.log(`removed ${ids.length} in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}

export {};
