import { Database } from "bun:sqlite";
import { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRuntime } from "@gantry/libcontainer";
import type { NetworkController } from "@gantry/network";
import type { Digest, ImageConfig } from "@gantry/spec";
import { encodeHeader, importRootfs, type MemberHeader, openStorage, padding, TRAILER } from "@gantry/storage";
import { openBuilder } from "../builder.ts";
import type { Builder, BuilderOptions, BuildRequest } from "../contract.ts";

/** A member of a tar made by hand. */
export type Member = MemberHeader & { content?: string | Uint8Array };

/** A tar of these members. */
export function tar(members: Member[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { content = "", ...header } of members) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const size = header.type === "file" ? bytes.length : 0;
    parts.push(encodeHeader({ mode: header.type === "dir" ? 0o755 : 0o644, mtime: 1_600_000_000, ...header, size }));
    if (size > 0) parts.push(bytes, padding(size));
  }
  return Buffer.concat([...parts, TRAILER]);
}

/** Files of a context: names ending in "/" are directories. */
export function context(files: Record<string, string | Uint8Array>): Member[] {
  return Object.entries(files).map(([name, content]) =>
    name.endsWith("/") ? { name, type: "dir" } : { name, type: "file", content },
  );
}

/** A network that gives every container its loopback and nothing else. */
const loopback: Pick<NetworkController, "prepare" | "plumb" | "release"> = {
  prepare: async () => ({ hosts: "127.0.0.1\tlocalhost\n", resolvConf: "nameserver 127.0.0.1\n" }),
  plumb: async () => {},
  release: async () => {},
};

const CGROUP = `gantry-builder-test-${process.pid}`;

export interface Outcome {
  id: Digest | null;
  /** Everything printed. */
  text: string;
  messages: Record<string, unknown>[];
  error: Error | null;
}

/** `meanwhile` is awaited after each message, before the build goes on. */
type BuildOptions = Partial<BuildRequest> & { meanwhile?: (message: Record<string, unknown>) => Promise<void> };

/** Storage, runtime and builder below a temporary directory, with a `busybox` image of this machine's static busybox. */
export class Fixture {
  readonly root = mkdtempSync(join(tmpdir(), "gantry-builder-"));
  readonly db = new Database(join(this.root, "db.sqlite"));
  readonly storage = openStorage({ root: join(this.root, "data"), db: this.db });
  readonly builder: Builder;
  readonly pulled: string[] = [];

  private constructor(options: Partial<BuilderOptions>) {
    this.db.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    this.builder = openBuilder({
      storage: this.storage,
      runtime: openRuntime(),
      network: loopback as NetworkController,
      pullImage: async (reference) => {
        this.pulled.push(reference);
        return this.storage.images.resolve(reference);
      },
      db: this.db,
      root: join(this.root, "data", "builder"),
      cgroupParent: CGROUP,
      ...options,
    });
  }

  /** Null where there is no static busybox here to make an image of. */
  static async open(options: Partial<BuilderOptions> = {}): Promise<Fixture | null> {
    const busybox = Bun.which("busybox");
    if (!busybox) return null;
    const fixture = new Fixture(options);
    const names = new TextDecoder()
      .decode(Bun.spawnSync([busybox, "--list"]).stdout)
      .split("\n")
      .filter(Boolean);
    const rootfs = tar([
      ...["bin/", "etc/", "tmp/", "root/", "usr/", "usr/lib/"].map((name): Member => ({ name, type: "dir" })),
      { name: "bin/busybox", type: "file", mode: 0o755, content: readFileSync(busybox) },
      ...names
        .filter((name) => name !== "busybox")
        .map((name): Member => ({ name: `bin/${name}`, type: "symlink", linkname: "busybox" })),
      { name: "lib", type: "symlink", linkname: "usr/lib" },
      {
        name: "etc/passwd",
        type: "file",
        content: "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n",
      },
      { name: "etc/group", type: "file", content: "root:x:0:\ndaemon:x:1:\nstaff:x:50:daemon\n" },
    ]);
    const image = await importRootfs(fixture.storage, new Blob([rootfs as Uint8Array<ArrayBuffer>]).stream(), {
      config: { Cmd: ["sh"], Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] },
      comment: "Imported from -",
    });
    fixture.storage.images.tag(image.id, "busybox:latest");
    return fixture;
  }

  /** Builds a Dockerfile with these files beside it. */
  async build(
    dockerfile: string,
    files: Record<string, string | Uint8Array> = {},
    options: BuildOptions = {},
  ): Promise<Outcome> {
    return this.buildTar(tar(context({ Dockerfile: dockerfile, ...files })), options);
  }

  async buildTar(archive: Uint8Array, { meanwhile, ...options }: BuildOptions = {}): Promise<Outcome> {
    const messages: Record<string, unknown>[] = [];
    let id: Digest | null = null;
    let error: Error | null = null;
    try {
      id = await this.builder.build(
        {
          source: {
            type: "tar",
            stream: new Blob([archive as Uint8Array<ArrayBuffer>]).stream() as unknown as AsyncIterable<Uint8Array>,
          },
          dockerfile: "Dockerfile",
          tags: [],
          target: "",
          buildArgs: {},
          labels: {},
          noCache: false,
          pull: false,
          cacheFrom: [],
          remove: true,
          forceRemove: false,
          quiet: false,
          run: {
            networkMode: "",
            extraHosts: [],
            memory: 0,
            memorySwap: 0,
            cpuShares: 0,
            cpuPeriod: 0,
            cpuQuota: 0,
            cpusetCpus: "",
            cpusetMems: "",
            cgroupParent: "",
            shmSize: 0,
            rlimits: [],
            secrets: { secret: async () => null, sshAgent: async () => null },
          },
          signal: new AbortController().signal,
          ...options,
        },
        {
          message: async (message) => {
            messages.push(message as Record<string, unknown>);
            await meanwhile?.(message as Record<string, unknown>);
          },
        },
      );
    } catch (thrown) {
      error = thrown as Error;
    }
    const text = messages.map((message) => message["stream"] ?? "").join("");
    return { id, text, messages, error };
  }

  config(id: Digest): ImageConfig {
    return this.storage.images.get(id)!.config;
  }

  /** Text of a file in an image. */
  async read(id: Digest, path: string): Promise<string> {
    const view = await this.storage.layers.viewImage(this.config(id).rootfs.diff_ids);
    try {
      return readFileSync(`/proc/self/fd/${view.fd}/${path}`, "utf8");
    } finally {
      view.close();
    }
  }

  /** What builds leave on disk while none runs: nothing. */
  leftovers(): string[] {
    const below = (name: string) => readdirSync(join(this.root, "data", "builder", name));
    return [...below("run"), ...below("exec"), ...readdirSync(join(this.root, "data", "containers"))];
  }

  async close(): Promise<void> {
    await this.builder.close();
    await this.storage.settled();
    this.db.close();
    rmSync(this.root, { recursive: true, force: true });
    for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
      try {
        rmdirSync(join("/sys/fs/cgroup", hierarchy, CGROUP));
      } catch {
        // This hierarchy has none.
      }
    }
  }
}
