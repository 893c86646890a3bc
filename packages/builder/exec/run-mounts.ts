import { chmodSync, chownSync, closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, invalidParameter, notFound, type OciMount } from "@gantry/spec";
import type { SecretSource } from "../contract.ts";
import { performCopy } from "../copy/copy.ts";
import { cleanPath } from "../ignore/clean.ts";
import { PatternMatcher } from "../ignore/matcher.ts";
import type { ExecMount, ExecOp } from "../plan/vertex.ts";
import { Pacer } from "../tree/pacer.ts";
import type { SourceTree } from "../tree/source-tree.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { mountOverlayAt, unmountAt } from "./overlay.ts";
import { isDirectoryMode, type MountPoint } from "./stubs.ts";

/** An input of a step, as its mounts see it. */
export interface MountInput {
  tree: SourceTree;
  /** Its directories, topmost first, where it is made of layers; else the directory it is. */
  directories: string[];
  layers: Digest[] | null;
}

/** What a step's `--mount`s come to. */
export interface PreparedMounts {
  mounts: OciMount[];
  env: string[];
  points: MountPoint[];
  /** Cache directories the step uses. */
  caches: { key: string; id: string }[];
  release(): void;
}

export interface MountContext {
  /** A directory on disk for what a step may fill; made when it is first asked for. */
  disk(): string;
  /** A directory for small files and secrets, on tmpfs where possible. */
  directory: string;
  cacheMounts: CacheMounts;
  secrets: SecretSource;
  signal: AbortSignal;
  input(index: number): Promise<MountInput>;
}

/** Gets everything ready that a step wants mounted. What was got is given back by `release`, also where this throws. */
export async function prepareMounts(op: ExecOp, context: MountContext): Promise<PreparedMounts> {
  const undo: (() => void)[] = [];
  const prepared: PreparedMounts = {
    mounts: [],
    env: [],
    points: [],
    caches: [],
    release: () => {
      for (const step of undo.splice(0).reverse()) step();
    },
  };
  try {
    for (const [index, mount] of op.mounts.entries()) await prepareMount(op, mount, index, context, prepared, undo);
    if (op.script) addScript(op.script, context, prepared);
  } catch (error) {
    prepared.release();
    throw error;
  }
  return prepared;
}

async function prepareMount(
  op: ExecOp,
  mount: ExecMount,
  index: number,
  context: MountContext,
  prepared: PreparedMounts,
  undo: (() => void)[],
): Promise<void> {
  const target = (fallback = "") => {
    const path = mount.target || fallback;
    if (path === "") throw invalidParameter(`invalid mount: target is required for type ${mount.type}`);
    const absolute = cleanPath(path.startsWith("/") ? path : `${op.cwd}/${path}`);
    if (absolute === "/") throw invalidParameter('invalid mount target "/"');
    return absolute;
  };
  const access = mount.readonly ? "ro" : "rw";
  switch (mount.type) {
    case "tmpfs": {
      const options = ["nosuid", "nodev", ...(mount.size ? [`size=${mount.size}`] : []), access];
      const destination = target();
      prepared.mounts.push({ destination, type: "tmpfs", source: "tmpfs", options });
      prepared.points.push({ target: destination, kind: "directory" });
      return;
    }
    case "secret":
      return addSecret(mount, index, context, prepared);
    case "ssh": {
      const id = mount.id || "default";
      const socket = await context.secrets.sshAgent(id);
      if (socket === null) {
        if (mount.required) throw notFound(`unset ssh forward key ${id}`);
        return;
      }
      const destination = target(`/run/buildkit/ssh_agent.${index}`);
      prepared.mounts.push({
        destination,
        type: "bind",
        source: socket,
        options: ["bind", "nosuid", "nodev", "noexec"],
      });
      prepared.points.push({ target: destination, kind: "file" });
      prepared.env.push(`SSH_AUTH_SOCK=${destination}`);
      return;
    }
    case "cache": {
      const destination = target();
      const id = mount.id || destination;
      const cache = await context.cacheMounts.acquire(id, mount.sharing ?? "shared", context.signal);
      undo.push(cache.release);
      if (cache.fresh) await fillCache(mount, cache.path, context);
      prepared.caches.push({ key: cache.key, id });
      prepared.mounts.push({ destination, type: "bind", source: cache.path, options: ["rbind", access] });
      prepared.points.push({ target: destination, kind: "directory" });
      return;
    }
    case "bind": {
      const destination = target();
      const input = await context.input(mount.input!);
      const real = input.tree.follow(mount.source || "/");
      const stat = input.tree.stat(real);
      if (!stat) throw notFound(`failed to calculate checksum of ref: "${mount.source}": not found`);
      const source = materialize(input, mount.readonly, join(context.disk(), `bind-${index}`), undo);
      prepared.mounts.push({
        destination,
        type: "bind",
        source: real === "" ? source : join(source, real),
        options: ["rbind", access],
      });
      prepared.points.push({ target: destination, kind: isDirectoryMode(stat.mode) ? "directory" : "file" });
      return;
    }
  }
}

/** A path on this machine that shows the input's files. Writes to it are thrown away. */
function materialize(input: MountInput, readonly: boolean, place: string, undo: (() => void)[]): string {
  if (readonly && input.directories.length === 1) return input.directories[0]!;
  const scratch = readonly ? null : `${place}-scratch`;
  if (input.directories.length === 0) {
    mkdirSync(place, { recursive: true, mode: 0o755 });
    return place;
  }
  mountOverlayAt(place, input.directories, scratch);
  undo.push(() => unmountAt(place));
  return place;
}

/** A new cache gets its owner and mode, and the content of `from`. */
async function fillCache(mount: ExecMount, path: string, context: MountContext): Promise<void> {
  if (mount.input !== undefined) {
    const { tree } = await context.input(mount.input);
    const real = tree.follow(mount.source || "/");
    const stat = tree.stat(real);
    if (!stat || !isDirectoryMode(stat.mode)) throw notFound(`"${mount.source}": no such directory`);
    const fd = openSync(path, "r");
    try {
      await performCopy(
        {
          type: "copy",
          command: "COPY",
          sources: [],
          inline: [],
          dest: "/",
          rawDest: "/",
          exclude: [],
          parents: false,
          link: false,
          unpack: "none",
        },
        {
          inputs: [{ tree, selected: { path: "", real, stat }, remote: false, name: "", folder: "" }],
          hash: "",
          keys: [],
          exclude: new PatternMatcher([]),
        },
        {
          upper: path,
          lowerFd: fd,
          users: async () => ({ passwd: [], group: [] }),
          view: () => Promise.reject(new Error()),
        },
        new Pacer(),
      );
    } finally {
      closeSync(fd);
    }
  }
  chownSync(path, mount.uid ?? 0, mount.gid ?? 0);
  chmodSync(path, mount.mode ?? 0o755);
}

async function addSecret(
  mount: ExecMount,
  index: number,
  context: MountContext,
  prepared: PreparedMounts,
): Promise<void> {
  const id = mount.id || mount.source || mount.target.split("/").at(-1)!;
  const secret = await context.secrets.secret(id);
  if (secret === null) {
    if (mount.required) throw notFound(`secret ${id}: not found`);
    return;
  }
  if (mount.env !== undefined) prepared.env.push(`${mount.env || id}=${new TextDecoder().decode(secret)}`);
  if (mount.env !== undefined && mount.target === "") return;
  const destination = cleanPath(
    `/${mount.target.startsWith("/") ? mount.target : `run/secrets/${mount.target || id}`}`,
  );
  const file = join(context.directory, `secret-${index}`);
  writeFileSync(file, secret, { mode: 0o400, flag: "wx" });
  chownSync(file, mount.uid ?? 0, mount.gid ?? 0);
  chmodSync(file, mount.mode ?? 0o400);
  prepared.mounts.push({
    destination,
    type: "bind",
    source: file,
    options: ["bind", "ro", "nosuid", "nodev", "noexec"],
  });
  prepared.points.push({ target: destination, kind: "file" });
}

function addScript(script: { name: string; content: string }, context: MountContext, prepared: PreparedMounts): void {
  if (script.name.includes("/") || script.name === ".." || script.name === ".") {
    throw invalidParameter(`invalid heredoc name ${JSON.stringify(script.name)}`);
  }
  const folder = join(context.directory, "pipes");
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(join(folder, script.name), script.content, { mode: 0o755 });
  chmodSync(join(folder, script.name), 0o755);
  prepared.mounts.push({ destination: "/dev/pipes", type: "bind", source: folder, options: ["rbind", "ro"] });
}
