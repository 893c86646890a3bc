/**
 * Pull of a ten-layer image of about 500 MB from a registry on loopback: a fresh Gantry daemon for each run against a
 * real dockerd (`GANTRY_PEER_DOCKER`, its socket), in turns. Prints each run, the medians, and Gantry's peak of
 * resident memory.
 *
 *     bun bench/pull.ts [runs]
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../test/harness.ts";
import { seed, sha256, type TestImage } from "../test/registry/support/images.ts";
import { startRegistry } from "../test/registry/support/registry.ts";
import { makeTar, type TarMember } from "../test/registry/support/tar.ts";

const LAYERS = 10;
const LAYER_BYTES = 50_000_000;

/** Files of this machine, as an image would have: programs, libraries, texts. */
function* machineFiles(): Generator<TarMember> {
  const queue = ["/usr/lib", "/usr/bin", "/usr/share", "/usr/include", "/usr/sbin"];
  for (let dir = queue.shift(); dir !== undefined; dir = queue.shift()) {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) queue.push(path);
      if (!entry.isFile() || path.length > 99 || statSync(path).size > 20_000_000) continue;
      yield { name: path.slice(1), content: readFileSync(path) };
    }
  }
}

function benchImage(): TestImage {
  const files = machineFiles();
  const layers: Uint8Array[] = [];
  for (let i = 0; i < LAYERS; i++) {
    const members: TarMember[] = [{ name: `layer${i}`, content: String(i) }];
    for (let size = 0; size < LAYER_BYTES; ) {
      const next = files.next();
      if (next.done) {
        // A machine with few files: the rest is made up, as compressible as text.
        const content = Buffer.from(
          Array.from({ length: 200_000 }, (_, n) => `line ${n * (i + 1)} of layer ${i}\n`).join(""),
        );
        members.push({ name: `made/${i}-${size}`, content });
        size += content.length;
        continue;
      }
      members.push(next.value);
      size += (next.value.content as Uint8Array).length;
    }
    layers.push(makeTar(members));
  }
  const type = (what: string) => `application/vnd.docker.${what}`;
  const blobs = layers.map((tar) => {
    const bytes = Bun.gzipSync(tar as never, { level: 6 });
    return { bytes, digest: sha256(bytes), mediaType: type("image.rootfs.diff.tar.gzip") };
  });
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: layers.map(sha256) },
    }),
  );
  const configBlob = { bytes: config, digest: sha256(config), mediaType: type("container.image.v1+json") };
  const entry = (blob: { bytes: Uint8Array; digest: string; mediaType: string }) => ({
    mediaType: blob.mediaType,
    size: blob.bytes.length,
    digest: blob.digest,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type("distribution.manifest.v2+json"),
      config: entry(configBlob),
      layers: blobs.map(entry),
    }),
  );
  return {
    config: configBlob,
    layers: blobs,
    diffIds: layers.map(sha256),
    manifest: { bytes: manifest, digest: sha256(manifest), mediaType: type("distribution.manifest.v2+json") },
  };
}

/** One pull by a daemon that has nothing yet, over its API: seconds, and the daemon's peak of resident memory in MB. */
async function pullOnce(name: string): Promise<{ seconds: number; peak: number; idle: number }> {
  const engine = await startEngine({ images: "none" });
  try {
    const memory = (key: string) => {
      const status = readFileSync(`/proc/${engine.pid}/status`, "utf8");
      return Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
    };
    const idle = memory("VmRSS");
    const before = performance.now();
    const answer = await fetch(`http://gantry/images/create?fromImage=${name}&tag=1`, {
      method: "POST",
      unix: engine.socket,
    } as RequestInit);
    const text = await answer.text();
    const seconds = (performance.now() - before) / 1000;
    if (!text.includes("Downloaded newer image")) throw new Error(text.slice(-500));
    return { seconds, peak: memory("VmHWM"), idle };
  } finally {
    await engine.close();
  }
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function main(runs: number): Promise<void> {
  const registry = await startRegistry();
  const name = `${registry.host}/bench/layers`;
  let sizes = "";
  {
    const image = benchImage();
    const compressed = image.layers.reduce((sum, { bytes }) => sum + bytes.length, 0);
    sizes = `${LAYERS} layers, ${Math.round(compressed / 1e6)} MB compressed`;
    await seed(registry.url, "bench/layers", "1", image);
  }
  Bun.gc(true);
  console.log(sizes);
  const docker = process.env["GANTRY_PEER_DOCKER"]?.replace(/^unix:\/\//, "");
  const call = (method: string, path: string) => fetch(`http://docker${path}`, { method, unix: docker } as RequestInit);
  const ours: number[] = [];
  const theirs: number[] = [];
  const peaks: number[] = [];
  for (let run = 0; run < runs; run++) {
    Bun.spawnSync(["sync"]);
    const { seconds, peak, idle } = await pullOnce(name);
    ours.push(seconds);
    peaks.push(peak);
    let line = `run ${run + 1}: gantry ${seconds.toFixed(2)} s, peak ${peak.toFixed(0)} MB (idle ${idle.toFixed(0)})`;
    if (docker) {
      Bun.spawnSync(["sync"]);
      const before = performance.now();
      const answer = await (await call("POST", `/images/create?fromImage=${name}&tag=1`)).text();
      const took = (performance.now() - before) / 1000;
      if (!answer.includes("Downloaded newer image")) throw new Error(answer.slice(-500));
      theirs.push(took);
      await (await call("DELETE", `/images/${name}:1`)).text();
      line += `; docker ${took.toFixed(2)} s`;
    }
    console.log(line);
  }
  const [a, b] = [median(ours), median(theirs)];
  console.log(
    `median: gantry ${a.toFixed(2)} s, docker ${b.toFixed(2)} s, ratio ${(a / b).toFixed(2)}; peak ${median(peaks).toFixed(0)} MB`,
  );
  await registry.stop();
}

await main(Number(process.argv[2] ?? 3));
process.exit(0);
