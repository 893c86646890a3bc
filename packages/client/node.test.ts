import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frame } from "./index.ts";
import { fakeEngine, reply } from "./testing.ts";

const node = Bun.which("node");

test.skipIf(!node)("the same on Node: requests, streams with half-close, errors", async () => {
  const dir = mkdtempSync(join(tmpdir(), "gantry-node-"));
  const engine = await fakeEngine(({ target }) => {
    if (target.includes("/attach")) {
      return ({ socket }) => {
        socket.write("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n");
        const parts: Buffer[] = [];
        socket.on("data", (chunk: Buffer) => parts.push(chunk));
        socket.on("end", () => socket.end(frame("stdout", Buffer.concat(parts))));
      };
    }
    return target.includes("missing")
      ? reply(404, { message: "No such container: missing" })
      : reply(200, [{ Id: "a" }]);
  });
  try {
    const built = await Bun.build({
      entrypoints: [join(import.meta.dir, "index.ts")],
      target: "node",
      outdir: dir,
      naming: "client.mjs",
    });
    expect(built.success).toBe(true);
    writeFileSync(
      join(dir, "use.mjs"),
      `import { Docker } from "./client.mjs";
const docker = new Docker({ host: process.argv[2] });
const list = await docker.containers.list();
const error = await docker.containers.inspect("missing").catch((e) => e.status + " " + e.message);
const stream = await docker.containers.attach("c", { stdin: true, stdout: true });
let length = 0;
const done = stream.split((_, bytes) => { length += bytes.length; });
for (let i = 0; i < 20; i++) await stream.write(new Uint8Array(100000));
stream.closeWrite();
await done;
console.log(JSON.stringify({ list, error, length }));
docker.close();
`,
    );
    const child = Bun.spawn([node!, join(dir, "use.mjs"), engine.host], { stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    expect(err).toBe("");
    expect(JSON.parse(out)).toEqual({
      list: [{ Id: "a" }],
      error: "404 No such container: missing",
      length: 2_000_000,
    });
    expect(await child.exited).toBe(0);
  } finally {
    await engine.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
