import { posix } from "node:path";
import { type ContainerPathStat, forbidden, invalidParameter } from "@gantry/spec";
import { extract, pack } from "@gantry/storage";
import { close, isErrno, O, openat2, RESOLVE, S } from "@gantry/sys";
import type { Container } from "../containers/container.ts";
import { containerUser } from "../containers/user.ts";
import type { Engine } from "../engine.ts";
import { formatTime } from "../time.ts";
import { containerPath, goFileMode, type Located, locate, missing, statPath } from "./locate.ts";

function describe(name: string, located: Located, path: string): ContainerPathStat & { directory: boolean } {
  const { stat, linkTarget } = statPath(name, located, path);
  return {
    name: posix.basename(path) || "/",
    size: stat.size,
    mode: goFileMode(stat.mode),
    mtime: formatTime(stat.mtimeNs),
    linkTarget,
    directory: (stat.mode & S.IFMT) === S.IFDIR,
  };
}

/** What is at a path of a container, as messages name it (HEAD …/archive). Throws notFound. */
export async function statContainerPath(engine: Engine, name: string, path: string): Promise<ContainerPathStat> {
  const container = engine.containers.get(name);
  const wanted = containerPath(path);
  const located = await locate(engine, container, wanted, false);
  try {
    const { directory: _, ...stat } = describe(name, located, wanted);
    return stat;
  } finally {
    located.close();
  }
}

/** A tar of what is at a path, under its last name (GET …/archive). */
export async function copyFromContainer(
  engine: Engine,
  name: string,
  path: string,
): Promise<{ stat: ContainerPathStat; tar: ReadableStream<Uint8Array> }> {
  const container = engine.containers.get(name);
  const wanted = containerPath(path);
  const located = await locate(engine, container, wanted, false);
  try {
    const { directory, ...stat } = describe(name, located, wanted);
    if (wanted.endsWith("/") && !directory) throw missing(name, path);
    const rebase = wanted === "/" ? "/" : wanted.endsWith("/.") ? "." : posix.basename(wanted);
    container.emit("archive-path");
    return { stat, tar: pack(located.rootFd, { path: located.path, rebase, exactTimes: true }) };
  } finally {
    located.close();
  }
}

export interface CopyToOptions {
  /** Refuses to replace a directory by a file and the other way round. */
  noOverwriteDirNonDir: boolean;
  /** Files get the container's user as owner, where it is told of one; else the archive's owners stay. */
  copyUIDGID: boolean;
  signal?: AbortSignal;
}

/** Lays a tar out at a directory of a container (PUT …/archive). */
export async function copyToContainer(
  engine: Engine,
  name: string,
  path: string,
  tar: ReadableStream<Uint8Array>,
  options: CopyToOptions,
): Promise<void> {
  const container = engine.containers.get(name);
  const wanted = containerPath(path);
  const located = await locate(engine, container, wanted, true);
  try {
    let fd: number;
    try {
      fd = openat2(located.rootFd, located.path, { flags: O.RDONLY | O.DIRECTORY, resolve: RESOLVE.IN_ROOT });
    } catch (error) {
      if (isErrno(error, "ENOENT", "ELOOP")) throw missing(name, path);
      if (isErrno(error, "ENOTDIR")) throw invalidParameter("extraction point is not a directory");
      throw error;
    }
    close(fd);
    if (located.writable === "rootfs") throw forbidden("container rootfs is marked read-only");
    if (located.writable === "volume") throw forbidden("mounted volume is marked read-only");
    const named = (container.record.config.User ?? "") !== "";
    const user = options.copyUIDGID && named ? await containerUser(engine, container) : null;
    await extract(tar, located.rootFd, {
      base: located.path.replace(/^\/+|\/\.?$/g, ""),
      noOverwriteDirNonDir: options.noOverwriteDirNonDir,
      ...(user === null ? {} : { chown: { uid: user.uid, gid: user.gid } }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    container.emit("extract-to-dir");
  } finally {
    located.close();
  }
}

/** A tar of a container's whole file system, without what is mounted into it. */
export async function exportContainer(engine: Engine, container: Container): Promise<ReadableStream<Uint8Array>> {
  await container.prepared?.discard();
  const view = await engine.storage.layers.view(container.id, { readonly: true });
  try {
    container.emit("export");
    return pack(view.fd, {});
  } finally {
    view.close();
  }
}
