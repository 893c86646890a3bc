import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_REGISTRY_CONFIG, openDistribution } from "@gantry/distribution";
import type { Digest, ImageSummary } from "@gantry/spec";
import { encodeHeader, openStorage, padding, TRAILER } from "@gantry/storage";
import { Filters } from "../filters.ts";
import { Images, type ImageUser, importMessage } from "./index.ts";

let root = "";
let storage: ReturnType<typeof openStorage>;
let images: Images;
let users: Map<string, ImageUser[]>;
let events: string[];

const open = (grace?: number) =>
  new Images({
    storage,
    distribution: openDistribution({ storage, config: () => DEFAULT_REGISTRY_CONFIG }),
    events: {
      emit: (type, action, id, { name }) => events.push(`${type} ${action} ${id.slice(0, 19)} ${name ?? ""}`.trim()),
    },
    containersUsing: (id) => users.get(id) ?? [],
    ...(grace === undefined ? {} : { grace }),
  });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-images-"));
  storage = openStorage({ root, db: new Database(":memory:") });
  users = new Map();
  events = [];
  images = open();
});
afterEach(async () => {
  await images.collect();
  await storage.settled();
  rmSync(root, { recursive: true, force: true });
});

const tar = (name: string, content: string) => {
  const bytes = Buffer.from(content);
  return Buffer.concat([
    encodeHeader({ name, type: "file", size: bytes.length }),
    bytes,
    padding(bytes.length),
    TRAILER,
  ]);
};
const imported = (
  name: string,
  options: { changes?: string[]; content?: string; platform?: string } = {},
): Promise<Digest> =>
  images.import({
    source: new Blob([tar("file", options.content ?? name)]).stream(),
    repository: name,
    message: "Imported from -",
    changes: options.changes ?? [],
    platform: options.platform,
  });
const child = (parent: Digest, name: string, layer = false): Promise<Digest> =>
  (async () => {
    const unpacked = layer ? await storage.layers.unpack(new Blob([tar("more", name)]).stream()) : null;
    return images.commit({
      parent,
      layer: unpacked,
      config: { Cmd: [name] },
      createdBy: `make ${name}`,
      containerId: "c".repeat(64),
      repository: name,
      comment: "note",
    });
  })();
const filters = (value: Record<string, string[]>) => Filters.parse(JSON.stringify(value));
const names = (list: ImageSummary[]) => list.flatMap(({ RepoTags }) => RepoTags).sort();
const listed = async (value: Record<string, string[]> = {}, all = false) =>
  names(await images.list({ filters: filters(value), all }));

test("the last name takes the image along, an earlier one only itself", async () => {
  const id = await imported("one:1");
  images.tag("one:1", "two", "2");
  expect(images.remove("two:2")).toEqual([{ Untagged: "two:2" }]);
  expect(images.remove("one:1")).toEqual([
    { Untagged: "one:1" },
    { Deleted: id },
    { Deleted: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as unknown as string },
  ]);
  expect(() => images.resolve(id)).toThrow("No such image");
  await images.collect();
  expect(storage.content.has(id)).toBe(false);
});

test("by ID only where all names are of one repository, unless forced", async () => {
  const id = await imported("one:1");
  images.tag(id, "two", "2");
  expect(() => images.remove(id)).toThrow(
    `conflict: unable to delete ${id.slice(7, 19)} (must be forced) - image is referenced in multiple repositories`,
  );
  expect(images.remove(id.slice(7, 15), { force: true }).map(({ Untagged }) => Untagged)).toEqual([
    "one:1",
    "two:2",
    undefined,
    undefined,
  ]);
});

test("a platform that is asked for must be the image's", async () => {
  await imported("arm:1", { platform: "linux/arm64" });
  const other =
    "image with reference arm:1 was found but its platform (linux/arm64) does not match the specified platform (linux/amd64)";
  await expect(images.history("arm:1", "linux/amd64")).rejects.toThrow(other);
  await expect(images.inspect("arm:1", { platform: "linux/amd64" })).rejects.toThrow(other);
  await expect(images.removePlatform("arm:1", "linux/amd64")).rejects.toThrow(other);
  await expect(images.save(["arm:1"], { platform: "linux/amd64" })).rejects.toThrow(other);
  await expect(images.checkPush({ image: "arm", tag: "1", platform: "linux/amd64" })).rejects.toThrow(other);
  expect(await images.history("arm:1", "linux/arm64")).toHaveLength(1);
  expect((await images.inspect("arm:1", { platform: "linux/aarch64/v8" })).Architecture).toBe("arm64");
  await images.checkPush({ image: "arm", tag: "1", platform: "linux/arm64" });
  expect((await images.removePlatform("arm:1", "linux/arm64"))[0]).toEqual({ Untagged: "arm:1" });
});

test("digests go with the last tag of their repository", async () => {
  const id = await imported("one:1");
  const digest = `one@sha256:${"a".repeat(64)}`;
  storage.images.addDigest(id, digest);
  images.tag(id, "one", "2");
  expect(images.remove("one:2")).toEqual([{ Untagged: "one:2" }]);
  expect(images.remove("one:1").slice(0, 2)).toEqual([{ Untagged: "one:1" }, { Untagged: digest }]);
});

test("containers stand in the way: running ones always, stopped ones until forced", async () => {
  const id = await imported("one:1");
  const short = id.slice(7, 19);
  users.set(id, [{ id: "d".repeat(64), running: false }]);
  const container = "d".repeat(12);
  expect(() => images.remove("one:1")).toThrow(
    `conflict: unable to remove repository reference "one:1" (must force) - container ${container} is using its referenced image ${short}`,
  );
  expect(() => images.remove(id)).toThrow(
    `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container ${container}`,
  );
  users.set(id, [{ id: "d".repeat(64), running: true }]);
  expect(() => images.remove(id, { force: true })).toThrow(
    `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container ${container}`,
  );
  // By name, force takes the name off and leaves the image to its container.
  expect(images.remove("one:1", { force: true })).toEqual([{ Untagged: "one:1" }]);
  expect(images.resolve(id).tags).toEqual([]);
  await images.collect();
  expect(storage.layers.has(images.resolve(id).config.rootfs.diff_ids[0]!)).toBe(true);
});

test("children stand in the way; with the last child go its nameless parents, unless told not to", async () => {
  const parent = await imported("base:1");
  const middle = await child(parent, "middle:1");
  const leaf = await child(middle, "leaf:1", true);
  expect(() => images.remove(parent, { force: true })).toThrow("(cannot be forced) - image has dependent child images");
  images.remove("middle:1");
  expect(images.resolve(middle).tags).toEqual([]);
  expect(await listed()).toEqual(["base:1", "leaf:1"]);
  expect((await images.list({ filters: filters({}), all: true })).length).toBe(3);
  const removed = images.remove("leaf:1").flatMap(({ Deleted }) => Deleted ?? []);
  expect(removed).toContain(leaf);
  expect(removed).toContain(middle);
  expect(images.resolve("base:1").id).toBe(parent);

  const again = await child(parent, "again:1");
  const last = await child(again, "last:1");
  images.remove("again:1");
  expect(images.remove("last:1", { prune: false }).flatMap(({ Deleted }) => Deleted ?? [])).toEqual([last]);
  expect(images.resolve(again).id).toBe(again);
});

test("history tells of local parents by ID, of others as missing", async () => {
  const parent = await imported("base:1");
  const leaf = await child(parent, "leaf:1", true);
  expect(await images.history("leaf:1")).toMatchObject([
    { Id: leaf, CreatedBy: "make leaf:1", Comment: "note", Tags: ["leaf:1"], Size: 6 },
    { Id: parent, CreatedBy: "", Comment: "Imported from -", Tags: ["base:1"], Size: 6 },
  ]);
  images.remove("leaf:1");
});

test("list filters", async () => {
  const a = await imported("team/a:1", { changes: ["LABEL k=v other=1"] });
  await Bun.sleep(5);
  await imported("team/b:1", { changes: ["LABEL k=w"] });
  await Bun.sleep(5);
  await imported("c:1");
  expect(await listed({ label: ["k"] })).toEqual(["team/a:1", "team/b:1"]);
  expect(await listed({ label: ["k=v", "other"] })).toEqual(["team/a:1"]);
  expect(await listed({ "label!": ["k"] })).toEqual(["c:1"]);
  expect(await listed({ reference: ["team/*"] })).toEqual(["team/a:1", "team/b:1"]);
  expect(await listed({ reference: ["c", "team/b:1"] })).toEqual(["c:1", "team/b:1"]);
  expect(await listed({ before: ["team/b:1"] })).toEqual(["team/a:1"]);
  expect(await listed({ since: ["team/b:1"] })).toEqual(["c:1"]);
  expect(await listed({ until: ["1h"] })).toEqual([]);
  expect(await listed({ until: [String(Math.floor(Date.now() / 1000) + 60)] })).toHaveLength(3);
  expect(await listed({ dangling: ["false"] })).toHaveLength(3);
  images.tag("c:1", "team/a", "1");
  expect((await images.list({ filters: filters({ dangling: ["true"] }) })).map(({ Id }) => Id)).toEqual([a]);
  await expect(listed({ nonsense: ["1"] })).rejects.toThrow("invalid filter 'nonsense'");
  await expect(listed({ before: ["nope"] })).rejects.toThrow("No such image: nope:latest");
});

test("shared layers are counted once", async () => {
  const base = await imported("base:1", { content: "x".repeat(1000) });
  await child(base, "one:1", true);
  await child(base, "two:1", true);
  const { LayersSize, Images: list } = await images.usage(filters({}));
  expect(LayersSize).toBe(1000 + 5 + 5);
  const one = list.find(({ RepoTags }) => RepoTags[0] === "one:1");
  expect(one).toMatchObject({ Size: 1005, SharedSize: 1000, Containers: 0 });
});

test("prune takes what has no tag, or all that is not used; filters and containers are heeded", async () => {
  const used = await imported("used:1");
  const gone = await imported("gone:1");
  await imported("kept:1", { changes: ["LABEL keep=yes"] });
  images.tag(used, "moved", "1");
  images.remove("gone:1");
  const dangling = await imported("x:1");
  images.tag(used, "x", "1");
  users.set(used, [{ id: "e".repeat(64), running: false }]);
  expect((await images.prune(filters({ label: ["nope"] }))).ImagesDeleted).toBeNull();
  const pruned = await images.prune(filters({}));
  expect(pruned.ImagesDeleted?.[0]).toEqual({ Deleted: dangling });
  expect(pruned.SpaceReclaimed).toBe(3);
  const all = await images.prune(filters({ dangling: ["false"], "label!": ["keep"] }));
  expect(all.ImagesDeleted).toBeNull();
  expect(await listed()).toEqual(["kept:1", "moved:1", "used:1", "x:1"]);
  users.clear();
  expect((await images.prune(filters({ dangling: ["false"], "label!": ["keep=yes"] }))).SpaceReclaimed).toBe(6);
  expect(await listed()).toEqual(["kept:1"]);
  await expect(images.prune(filters({ before: ["x"] }))).rejects.toThrow("invalid filter 'before'");
  expect(() => images.resolve(gone)).toThrow("No such image");
});

test("import applies changes and takes a platform", async () => {
  await imported("x:1", {
    changes: [
      'CMD ["a", "b"]',
      "ENV A=1 B=two",
      "EXPOSE 80 53/udp",
      "WORKDIR /w",
      "USER u",
      "VOLUME /v",
      "STOPSIGNAL TERM",
    ],
    platform: "linux/arm64",
  });
  const { config } = images.resolve("x:1");
  expect(config.architecture).toBe("arm64");
  expect(config.config).toEqual({
    Cmd: ["a", "b"],
    Env: ["A=1", "B=two"],
    ExposedPorts: { "80/tcp": {}, "53/udp": {} },
    WorkingDir: "/w",
    User: "u",
    Volumes: { "/v": {} },
    StopSignal: "TERM",
  });
  await expect(imported("y:1", { changes: ["RUN x"] })).rejects.toThrow("RUN is not a valid change command");
  await expect(imported("y:1", { platform: "windows/amd64" })).rejects.toThrow("operating system is not supported");
  await expect(imported("Bad:1")).rejects.toThrow("must be lowercase");
  expect(await listed()).toEqual(["x:1"]);
});

test("tags: moved ones leave the old image nameless; malformed ones are refused", async () => {
  const first = await imported("one:1");
  await imported("two:1");
  images.tag("two:1", "one", "1");
  expect(images.resolve(first).tags).toEqual([]);
  expect(() => images.tag("two:1", "UPPER", "1")).toThrow("must be lowercase");
  expect(() => images.tag("two:1", "x", "bad tag")).toThrow("invalid tag format");
  images.tag("two:1", "three:3", "other");
  expect(images.resolve("three:other").id).toBe(images.resolve("two:1").id);
  expect(() => images.tag("two:1", `x@sha256:${"a".repeat(64)}`, "")).toThrow(
    "refusing to create a tag with a digest reference",
  );
  const ambiguous = "refusing to create an ambiguous tag using digest algorithm as name";
  expect(() => images.tag("two:1", "sha256", "1")).toThrow(ambiguous);
  // One that an older version made can be taken away.
  expect(() => images.remove("sha256:x1")).toThrow("No such image: sha256:x1");
  const known = storage.images.list().length;
  await expect(imported("sha256:x")).rejects.toThrow(ambiguous);
  expect(storage.images.list()).toHaveLength(known);
  expect(() => images.tag("nope", "x", "1")).toThrow("No such image: nope:latest");
});

test("events", async () => {
  const id = await imported("one:1");
  images.tag("one:1", "two", "2");
  images.remove("two:2");
  const short = id.slice(0, 19);
  expect(events).toEqual([
    `image tag ${short} one:1`,
    `image import ${short} ${id}`,
    `image tag ${short} two:2`,
    `image untag ${short} ${id}`,
  ]);
  events.length = 0;
  const made = await child(id, "made:1", true);
  const short2 = made.slice(0, 19);
  expect(events).toEqual([`image create ${short2} ${made}`, `image tag ${short2} made:1`]);
});

test("save and load keep IDs and names of several images", async () => {
  const one = await imported("one:1");
  const two = await child(one, "two:1", true);
  const archive = await new Response(await images.save(["one:1", "two:1"])).bytes();
  images.remove("two:1");
  images.remove("one:1");
  await images.collect();
  const said: (string | undefined)[] = [];
  await images.load({ source: new Blob([archive]).stream(), quiet: true }, ({ stream }) => said.push(stream));
  expect(said.sort()).toEqual(["Loaded image: one:1\n", "Loaded image: two:1\n"]);
  expect([images.resolve("one:1").id, images.resolve("two:1").id]).toEqual([one, two]);
  // A name alone stands for all its tags, whichever they are.
  expect((await new Response(await images.save(["one"])).bytes()).length).toBeGreaterThan(1024);
  await expect(images.save(["nope"])).rejects.toThrow(/^No such image: nope$/);
});

test("what an unfinished load leaves is kept for its next try, and goes where none comes", async () => {
  const layer = await storage.layers.unpack(new Blob([tar("left", "over")]).stream());
  const broken = () => ({ source: new Blob(["no archive"]).stream(), quiet: true });
  await expect(images.load(broken(), () => {})).rejects.toThrow();
  await images.collect();
  expect(storage.layers.has(layer.diffId)).toBe(true);
  const one = await imported("one:1");
  // Left by a daemon that was killed, and then by one that was not.
  const hasty = open(1);
  while (storage.layers.has(layer.diffId)) await Bun.sleep(5);
  const other = await storage.layers.unpack(new Blob([tar("left", "over again")]).stream());
  await expect(hasty.load(broken(), () => {})).rejects.toThrow();
  while (storage.layers.has(other.diffId)) await Bun.sleep(5);
  expect(images.resolve("one:1").id).toBe(one);
});

test("what is removed while it is saved goes once it is", async () => {
  const one = await imported("one:1");
  const [layer] = (await images.inspect("one:1")).RootFS.Layers!;
  const saving = await images.save(["one:1"]);
  images.remove("one:1");
  await images.collect();
  const archive = await new Response(saving).bytes();
  await images.collect();
  expect(storage.layers.has(layer as Digest)).toBe(false);
  await images.load({ source: new Blob([archive]).stream(), quiet: true }, () => {});
  expect(images.resolve("one:1").id).toBe(one);
});

test("search asks the index of the term's registry and filters what it says", async () => {
  const asked: string[] = [];
  const hit = (name: string, star_count: number, is_official: boolean) => ({
    name,
    star_count,
    is_official,
    is_automated: false,
    description: "d",
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const url = new URL(request.url);
      asked.push(url.pathname + url.search);
      return Response.json({ results: [hit("a", 100, true), hit("b", 3, false), { name: 1 }, null] });
    },
  });
  try {
    const host = `127.0.0.1:${server.port}`;
    const search = async (value: Record<string, string[]>) =>
      (await images.search(`${host}/thing`, filters(value), { limit: 10 })).map(({ name }) => name);
    expect(await search({})).toEqual(["a", "b"]);
    expect(asked).toEqual(["/v1/search?q=thing&n=10"]);
    expect(await search({ stars: ["4"] })).toEqual(["a"]);
    expect(await search({ "is-official": ["false"] })).toEqual(["b"]);
    await expect(search({ stars: ["many"] })).rejects.toThrow("invalid filter 'stars=many'");
    await expect(images.search("x", filters({}), { limit: 101 })).rejects.toThrow("outside the range of [1, 100]");
  } finally {
    server.stop(true);
  }
});

test("an import says where it is from", () => {
  const messages = ["-", "http://host:1/a.tar?b=c", "host/a.tar"].map(importMessage);
  expect(messages).toEqual(
    ["-", "http://host:1/a.tar?b=c", "http://host/a.tar"].map((from) => `Imported from ${from}`),
  );
});
