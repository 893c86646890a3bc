import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { bytesOf, sha256, streamOf, tarOf } from "../archive/testing.ts";
import { openStorage } from "../storage.ts";

/** Socket of a real dockerd to compare with, e.g. /run/docker.sock; without it these tests are skipped. */
const peer = process.env["GANTRY_PEER_DOCKER"]?.replace(/^unix:\/\//, "");
const root = mkdtempSync(`${tmpdir()}/gantry-peer-`);
const storage = openStorage({ root, db: new Database(":memory:") });
const created: string[] = [];
const call = (method: string, path: string, body?: Uint8Array) =>
  fetch(`http://docker/v1.43${path}`, {
    method,
    unix: peer!,
    body: body as Uint8Array<ArrayBuffer> | undefined,
    headers: { "content-type": "application/x-tar" },
  } as RequestInit);
afterAll(async () => {
  for (const name of created) await call("DELETE", `/images/${name}?force=1`);
  await storage.settled();
  rmSync(root, { recursive: true, force: true });
});

const tree = tarOf(
  { name: "bin", type: "dir", mode: 0o755 },
  {
    name: "bin/set",
    type: "file",
    mode: 0o4755,
    content: "s".repeat(70_000),
    xattrs: new Map([["security.capability", Buffer.from("0100000200200000000000000000000000000000", "hex")]]),
  },
  { name: "hard", type: "link", linkname: "bin/set" },
  { name: `${"deep/".repeat(30)}file`, type: "file", content: "x" },
  { name: "soft", type: "symlink", linkname: "/bin/set" },
  { name: "fifo", type: "fifo" },
);

test.skipIf(!peer)(
  "what Docker saves loads here with its ID, and what we save loads there with ours",
  async () => {
    const name = `gantry-peer-test-${process.pid}`;
    created.push(`${name}:theirs`, `${name}:ours`);
    await (await call("POST", `/images/create?fromSrc=-&repo=${name}&tag=theirs`, tree)).text();
    const { Id } = (await (await call("GET", `/images/${name}:theirs/json`)).json()) as { Id: string };
    const archive = new Uint8Array(await (await call("GET", `/images/get?names=${name}:theirs`)).arrayBuffer());
    expect(await storage.images.load(streamOf(archive))).toEqual([{ id: Id as never, tags: [`${name}:theirs`] }]);
    const image = storage.images.resolve(`${name}:theirs`);
    // Docker imports by keeping the tar as it came: so must the layer be.
    expect(image.config.rootfs.diff_ids).toEqual([sha256(tree)]);

    const { importRootfs } = await import("./import.ts");
    const ours = await importRootfs(storage, streamOf(tree), { config: { Cmd: ["/bin/set"] }, comment: "ours" });
    storage.images.tag(ours.id, `${name}:ours`);
    const saved = await bytesOf(storage.images.save([`${name}:ours`, `${name}:theirs`]));
    await call("DELETE", `/images/${name}:theirs?force=1`);
    const answer = await (await call("POST", "/images/load?quiet=1", saved)).text();
    expect(answer).toContain(`Loaded image: ${name}:ours`);
    for (const [tag, id] of [
      ["ours", ours.id],
      ["theirs", Id],
    ] as const) {
      const there = (await (await call("GET", `/images/${name}:${tag}/json`)).json()) as { Id: string };
      expect(there.Id).toBe(id);
    }
    // And back again, byte for byte.
    const returned = new Uint8Array(await (await call("GET", `/images/get?names=${name}:ours`)).arrayBuffer());
    expect((await storage.images.load(streamOf(returned)))[0]?.id).toBe(ours.id);
  },
  60_000,
);

test.skipIf(!peer)(
  "docker diff tells what Docker tells of the same changes",
  async () => {
    const busybox = process.env["GANTRY_PEER_IMAGE"] ?? "busybox:latest";
    const script =
      "echo a >> /etc/passwd; rm /etc/group; mkdir -p /new/dir; echo x > /new/dir/f; chmod 700 /root; rm -r /home; mkdir /home; touch /home/n";
    const made = await fetch("http://docker/v1.43/containers/create", {
      method: "POST",
      unix: peer!,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ Image: busybox, Cmd: ["sh", "-c", script], HostConfig: { NetworkMode: "none" } }),
    } as RequestInit);
    if (made.status === 404) return console.warn(`${busybox} is not in the peer: skipped`);
    const { Id } = (await made.json()) as { Id: string };
    try {
      await call("POST", `/containers/${Id}/start`);
      await (await call("POST", `/containers/${Id}/wait`)).text();
      const theirs = (await (await call("GET", `/containers/${Id}/changes`)).json()) as {
        Kind: number;
        Path: string;
      }[];
      const image = new Uint8Array(await (await call("GET", `/images/get?names=${busybox}`)).arrayBuffer());
      await storage.images.load(streamOf(image));
      const { diff_ids } = storage.images.resolve(busybox).config.rootfs;
      await storage.layers.createContainer("diff", diff_ids);
      const view = await storage.layers.view("diff");
      try {
        const done = Bun.spawnSync(["chroot", `/proc/${process.pid}/fd/${view.fd}`, "/bin/sh", "-c", script]);
        expect(done.exitCode).toBe(0);
      } finally {
        view.close();
      }
      const order = (a: { Path: string }, b: { Path: string }) => (a.Path < b.Path ? -1 : 1);
      const ours = (await storage.layers.changes("diff")).map(({ kind, path }) => ({
        Kind: kind as number,
        Path: path,
      }));
      expect(ours.sort(order)).toEqual(theirs.sort(order));
    } finally {
      await call("DELETE", `/containers/${Id}?force=1`);
      await storage.layers.removeContainer("diff");
    }
  },
  60_000,
);
