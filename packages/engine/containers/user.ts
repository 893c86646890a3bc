import { lstatSync } from "node:fs";
import { type OciUser, systemError } from "@gantry/spec";
import { close, O, open } from "@gantry/sys";
import type { Engine } from "../engine.ts";
import { readUserDatabase, resolveUser, type UserDatabase } from "../spec/users.ts";
import type { Container } from "./container.ts";

/** What images say about users, by image ID: read once (layers do not change). */
const byImage = new Map<string, UserDatabase>();
const MAX_KEPT = 128;

/** The user a container's first process runs as. */
export async function containerUser(engine: Engine, container: Container): Promise<OciUser & { home: string }> {
  const { config, hostConfig } = container.record;
  return resolveUser(await userDatabase(engine, container), config.User ?? "", hostConfig.GroupAdd ?? []);
}

/** The container's passwd and group: the image's while its writable layer has no /etc of its own. */
export async function userDatabase(engine: Engine, container: Container): Promise<UserDatabase> {
  const { imageId, mounts } = container.record;
  const mounted = mounts.some(({ destination }) => destination === "/etc" || destination.startsWith("/etc/"));
  const upper = engine.storage.layers.getContainer(container.id).upper;
  const untouched = !mounted && lstatSync(`${upper}/etc`, { throwIfNoEntry: false }) === undefined;
  if (untouched && imageId !== "") {
    const known = byImage.get(imageId);
    if (known !== undefined) return known;
  }
  // The view is a detached mount: what an image puts in the way of a path cannot lead out of it.
  let view: { fd: number; close(): void } | undefined;
  try {
    view = container.running
      ? liveRoot(container.state.pid)
      : await engine.storage.layers.view(container.id, { readonly: true });
    const database = readUserDatabase(view.fd);
    if (untouched && imageId !== "") {
      if (byImage.size >= MAX_KEPT) byImage.delete(byImage.keys().next().value as string);
      byImage.set(imageId, database);
    }
    return database;
  } catch (error) {
    throw systemError("cannot read the container's users", error);
  } finally {
    view?.close();
  }
}

function liveRoot(pid: number): { fd: number; close(): void } {
  const fd = open(`/proc/${pid}/root`, O.PATH | O.DIRECTORY);
  return { fd, close: () => close(fd) };
}
