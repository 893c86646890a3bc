import { lstatSync, mkdirSync } from "node:fs";
import { type ContainerConfig, type Digest, type HostConfig, invalidParameter, messageOf } from "@gantry/spec";
import { type MountRequest, parseMounts } from "../config/mounts.ts";
import type { ContainerMount } from "../containers/record.ts";
import type { Engine } from "../engine.ts";
import { newId } from "../ids.ts";
import { copyUp } from "./copy-up.ts";

type Undo = (() => Promise<void>)[];

/**
 * Turns what a request asks to be mounted into mounts with host paths: volumes are made (and filled from the image),
 * missing bind sources of `-v` are made as directories, those of `--mount` refused, `VolumesFrom` copied.
 */
export async function resolveMounts(
  engine: Engine,
  host: HostConfig,
  config: ContainerConfig,
  diffIds: Digest[],
  undo: Undo,
): Promise<ContainerMount[]> {
  const requests = parseMounts(host, Object.keys(config.Volumes ?? {}));
  if (requests.length === 0 && (host.VolumesFrom?.length ?? 0) === 0) return [];
  const result = new Map<string, ContainerMount>();
  for (const text of host.VolumesFrom ?? []) {
    for (const mount of volumesFrom(engine, text)) result.set(mount.destination, mount);
  }
  const volumesToFill: { volume: string; target: string }[] = [];
  for (const request of requests) {
    // A volume of the image gives way to what VolumesFrom brought.
    if (request.type === "volume" && request.source === "" && request.mount === undefined && result.has(request.target))
      continue;
    result.set(request.target, await resolveOne(engine, request, undo, volumesToFill));
  }
  if (volumesToFill.length > 0 && diffIds.length > 0) await copyUp(engine, diffIds, volumesToFill);
  return [...result.values()];
}

function volumesFrom(engine: Engine, text: string): ContainerMount[] {
  const at = text.indexOf(":");
  const name = at < 0 ? text : text.slice(0, at);
  const mode = at < 0 ? "rw" : text.slice(at + 1);
  if (!["rw", "ro", "z", "Z", ""].includes(mode)) throw invalidParameter(`invalid mode: ${mode}`);
  if (name === "") throw invalidParameter('invalid name or ID supplied: ""');
  const other = engine.containers.find(name);
  // Not 404: the client would take that for a missing image.
  if (other === null) throw invalidParameter(`No such container: ${name}`);
  return other.record.mounts.map((mount) => {
    const { anonymous: _, ...rest } = mount;
    return { ...rest, rw: mode === "ro" ? false : mount.rw, mode: "" };
  });
}

async function resolveOne(
  engine: Engine,
  request: MountRequest,
  undo: Undo,
  fill: { volume: string; target: string }[],
): Promise<ContainerMount> {
  const common = {
    destination: request.target,
    mode: request.mode,
    rw: !request.readOnly,
    propagation: request.propagation,
  };
  const { mount } = request;
  switch (request.type) {
    case "bind": {
      prepareBindSource(request);
      const bind = mount?.BindOptions;
      return {
        ...common,
        type: "bind",
        source: request.source,
        ...(mount === undefined ? {} : { spec: true }),
        ...(bind?.NonRecursive === true ? { nonRecursive: true } : {}),
        ...(bind?.ReadOnlyNonRecursive === true ? { readOnlyNonRecursive: true } : {}),
        ...(bind?.ReadOnlyForceRecursive === true ? { readOnlyForceRecursive: true } : {}),
      };
    }
    case "tmpfs": {
      const options = mount?.TmpfsOptions;
      const words: string[] = [];
      if (options?.SizeBytes) words.push(`size=${options.SizeBytes}`);
      if (options?.Mode) words.push(`mode=${options.Mode.toString(8)}`);
      for (const option of options?.Options ?? []) words.push(option.join("="));
      return { ...common, type: "tmpfs", source: "", tmpfsOptions: words };
    }
    case "image": {
      const image = engine.storage.images.resolve(request.source);
      return {
        ...common,
        type: "image",
        source: "",
        name: request.source,
        rw: false,
        propagation: "rprivate",
        diffIds: image.config.rootfs.diff_ids,
        ...(mount?.ImageOptions?.Subpath ? { subpath: mount.ImageOptions.Subpath } : {}),
      };
    }
    case "volume": {
      const anonymous = request.source === "";
      const name = anonymous ? newId() : request.source;
      if (request.driver !== "" && request.driver !== "local") {
        throw invalidParameter(
          `error looking up volume plugin ${request.driver}: plugin "${request.driver}" not found`,
        );
      }
      const existing = engine.storage.volumes.get(name);
      const volume =
        existing ??
        (await engine.storage.volumes.create(name, {
          labels: { ...mount?.VolumeOptions?.Labels, ...(anonymous ? { "com.docker.volume.anonymous": "" } : {}) },
          driverOpts: mount?.VolumeOptions?.DriverConfig?.Options ?? {},
        }));
      if (existing === null) {
        engine.events.emit("volume", "create", name, { driver: "local" });
        undo.push(() => engine.storage.volumes.remove(name));
      }
      const subpath = mount?.VolumeOptions?.Subpath ?? "";
      if (!request.noCopy && subpath === "") fill.push({ volume: volume.mountpoint, target: request.target });
      return {
        ...common,
        type: "volume",
        name,
        source: volume.mountpoint,
        driver: "local",
        mode: request.mode || (anonymous && mount === undefined ? "" : "z"),
        ...(anonymous ? { anonymous: true } : {}),
        ...(subpath === "" ? {} : { subpath }),
      };
    }
  }
}

/** `-v` makes a missing source; `--mount` refuses it (unless it says otherwise). */
function prepareBindSource(request: MountRequest): void {
  const there = lstatSync(request.source, { throwIfNoEntry: false });
  if (there !== undefined) return;
  if (request.mount !== undefined && request.mount.BindOptions?.CreateMountpoint !== true) {
    throw invalidParameter(`invalid mount config for type "bind": bind source path does not exist: ${request.source}`);
  }
  try {
    mkdirSync(request.source, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw invalidParameter(`error while creating mount source path '${request.source}': ${messageOf(error)}`);
  }
}
