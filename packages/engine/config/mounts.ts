import { posix } from "node:path";
import { type HostConfig, invalidParameter, type Mount } from "@gantry/spec";

const PROPAGATION = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** A mount as asked for, from `-v`, `--mount` or `--tmpfs`, in one form. */
export interface MountRequest {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** Absolute host path, volume name (may be "" for an anonymous one), image reference. */
  source: string;
  target: string;
  readOnly: boolean;
  mode: string;
  noCopy: boolean;
  propagation: string;
  driver: string;
  mount?: Mount;
}

/** Parses `-v`'s "source:target[:mode]". Throws invalidParameter with Docker's words. */
export function parseBind(text: string): MountRequest {
  const parts = text.split(":");
  const bad = () => invalidParameter(`invalid volume specification: '${text}'`);
  if (parts.length > 3 || parts.some((part) => part === "")) throw bad();
  let [source, target, mode] = parts as [string, string?, string?];
  if (parts.length === 1) {
    target = source;
    source = "";
  }
  if (target === undefined || target === "") throw bad();
  if (parts.length === 2 && !target.startsWith("/")) {
    // "target:mode"
    if (isMode(target)) {
      mode = target;
      target = source;
      source = "";
    }
  }
  const type = source.startsWith("/") ? "bind" : "volume";
  const cleaned = checkTarget(target, (message) =>
    invalidParameter(`invalid volume specification: '${text}': invalid mount config for type "${type}": ${message}`),
  );
  const parsed = parseMode(text, mode ?? "", type);
  if (type === "volume" && source !== "" && !VOLUME_NAME.test(source)) throw invalidVolumeName(source);
  return {
    type,
    source: type === "bind" ? posix.normalize(source) : source,
    target: cleaned,
    mode: mode ?? "",
    driver: "",
    ...parsed,
  };
}

function checkTarget(target: string, error: (message: string) => Error): string {
  if (target.includes("\0")) throw error("path contains a NUL byte");
  if (!target.startsWith("/")) throw error(`invalid mount path: '${target}' mount path must be absolute`);
  const cleaned = posix.normalize(target).replace(/(.)\/+$/, "$1");
  if (cleaned === "/") throw error("invalid specification: destination can't be '/'");
  return cleaned;
}

export function invalidVolumeName(name: string): Error {
  return invalidParameter(
    name.length < 2
      ? `create ${name}: volume name is too short, names should be at least two alphanumeric characters`
      : `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}

function isMode(text: string): boolean {
  return text.split(",").every((word) => MODE_WORDS.has(word) || PROPAGATION.includes(word));
}

const MODE_WORDS = new Set(["rw", "ro", "z", "Z", "nocopy", "consistent", "cached", "delegated", "default"]);

function parseMode(
  text: string,
  mode: string,
  type: "bind" | "volume",
): { readOnly: boolean; noCopy: boolean; propagation: string } {
  const foreign = (field: string) =>
    invalidParameter(
      `invalid volume specification: '${text}': invalid mount config for type "${type}": field ${field} must not be specified`,
    );
  let readOnly = false;
  let access = 0;
  let noCopy = false;
  let propagation = "";
  if (mode !== "") {
    for (const word of mode.split(",")) {
      if (word === "ro" || word === "rw") {
        access++;
        readOnly = word === "ro";
      } else if (PROPAGATION.includes(word) && type === "bind" && propagation === "") propagation = word;
      else if (word === "nocopy" && type === "volume") noCopy = true;
      else if (word === "nocopy") throw foreign("VolumeOptions");
      else if (PROPAGATION.includes(word) && type === "volume") throw foreign("BindOptions");
      else if (!MODE_WORDS.has(word)) throw invalidParameter(`invalid mode: ${mode}`);
    }
    if (access > 1) throw invalidParameter(`invalid mode: ${mode}`);
  }
  return { readOnly, noCopy, propagation: type === "bind" ? propagation || "rprivate" : "" };
}

/** Checks an entry of `HostConfig.Mounts`. */
export function parseMount(mount: Mount): MountRequest {
  const type = mount.Type ?? "";
  const bad = (message: string) => invalidParameter(`invalid mount config for type "${type}": ${message}`);
  const source = mount.Source ?? "";
  if (!mount.Target) throw bad("field Target must not be empty");
  if (!["bind", "volume", "tmpfs", "image"].includes(type)) throw bad("mount type unknown");
  if (!mount.Target.startsWith("/")) throw bad(`invalid mount path: '${mount.Target}' mount path must be absolute`);
  const target = posix.normalize(mount.Target).replace(/(.)\/+$/, "$1");
  if (target === "/") throw bad("invalid specification: destination can't be '/'");
  if (target.includes("\0") || source.includes("\0")) throw bad("path contains a NUL byte");
  for (const [field, owner] of [
    ["BindOptions", "bind"],
    ["VolumeOptions", "volume"],
    ["ImageOptions", "image"],
    ["TmpfsOptions", "tmpfs"],
  ] as const) {
    if (mount[field] !== undefined && mount[field] !== null && owner !== type) {
      throw bad(`field ${field} must not be specified`);
    }
  }
  const request: MountRequest = {
    type: type as MountRequest["type"],
    source,
    target,
    readOnly: mount.ReadOnly === true,
    mode: "",
    noCopy: mount.VolumeOptions?.NoCopy === true,
    propagation: "",
    driver: mount.VolumeOptions?.DriverConfig?.Name ?? "",
    mount,
  };
  switch (type) {
    case "bind": {
      if (source === "") throw bad("field Source must not be empty");
      if (!source.startsWith("/")) throw bad(`invalid mount path: '${source}' mount path must be absolute`);
      const propagation = mount.BindOptions?.Propagation ?? "";
      if (propagation !== "" && !PROPAGATION.includes(propagation))
        throw bad(`invalid propagation mode: ${propagation}`);
      request.propagation = propagation || "rprivate";
      request.source = posix.normalize(source);
      break;
    }
    case "volume": {
      const subpath = mount.VolumeOptions?.Subpath ?? "";
      if (subpath !== "") {
        if (source === "") throw bad("must not set Subpath when using anonymous volumes");
        checkSubpath(subpath, bad);
      }
      if (source !== "" && !VOLUME_NAME.test(source)) throw invalidVolumeName(source);
      break;
    }
    case "tmpfs":
      if (source !== "") throw bad("field Source must not be specified");
      if ((mount.TmpfsOptions?.SizeBytes ?? 0) < 0) throw bad("size must not be negative");
      for (const option of mount.TmpfsOptions?.Options ?? []) {
        if (option.length !== 1) {
          throw bad(option.length === 2 ? `invalid option: ${option[0]}` : "invalid option array length");
        }
        if (option[0] !== "exec" && option[0] !== "noexec") throw bad(`invalid option: ${option[0]}`);
      }
      break;
    case "image":
      if (source === "") throw bad("field Source must not be empty");
      checkSubpath(mount.ImageOptions?.Subpath ?? "", bad);
  }
  return request;
}

function checkSubpath(subpath: string, error: (message: string) => Error): void {
  if (subpath.includes("\0")) throw error("path contains a NUL byte");
  if (subpath.startsWith("/") || /^\.\.(\/|$)/.test(posix.normalize(subpath))) {
    throw error("subpath must be a relative path within the volume");
  }
}

/** All mounts that a request asks for; two for one place are refused. Volumes of the image or `Volumes` come last. */
export function parseMounts(host: HostConfig, volumes: string[]): MountRequest[] {
  const result: MountRequest[] = [];
  const seen = new Set<string>();
  const add = (request: MountRequest) => {
    if (seen.has(request.target)) throw invalidParameter(`Duplicate mount point: ${request.target}`);
    seen.add(request.target);
    result.push(request);
  };
  for (const text of host.Binds ?? []) {
    const request = parseBind(text);
    request.driver = request.type === "volume" ? (host.VolumeDriver ?? "") : "";
    add(request);
  }
  for (const mount of host.Mounts ?? []) add(parseMount(mount));
  for (const [target, options] of Object.entries(host.Tmpfs ?? {})) {
    const cleaned = posix.normalize(target).replace(/(.)\/+$/, "$1");
    if (seen.has(cleaned)) throw invalidParameter(`Duplicate mount point: ${cleaned}`);
    seen.add(cleaned);
    checkTmpfsOptions(options);
  }
  for (const target of volumes) {
    // Docker takes a relative path here as one from the root.
    const cleaned = checkTarget(posix.join("/", target), (message) =>
      invalidParameter(`invalid volume specification: '${target}': ${message}`),
    );
    if (seen.has(cleaned)) continue;
    seen.add(cleaned);
    result.push({
      type: "volume",
      source: "",
      target: cleaned,
      readOnly: false,
      mode: "",
      noCopy: false,
      propagation: "",
      driver: host.VolumeDriver ?? "",
    });
  }
  return result;
}

const TMPFS_FLAGS = new Set([
  "ro",
  "rw",
  "nosuid",
  "suid",
  "nodev",
  "dev",
  "noexec",
  "exec",
  "sync",
  "async",
  "dirsync",
  "remount",
  "mand",
  "nomand",
  "atime",
  "noatime",
  "diratime",
  "nodiratime",
  "bind",
  "rbind",
  "unbindable",
  "runbindable",
  "private",
  "rprivate",
  "shared",
  "rshared",
  "slave",
  "rslave",
  "relatime",
  "norelatime",
  "strictatime",
  "nostrictatime",
  "defaults",
  "noswap",
]);
const TMPFS_VALUES = new Set(["mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "size"]);

/** Checks `--tmpfs` options. Throws invalidParameter `invalid tmpfs option "x"`. */
export function checkTmpfsOptions(text: string): void {
  if (text === "") return;
  for (const option of text.split(",")) {
    const name = option.split("=", 1)[0] as string;
    const valid = option.includes("=") ? TMPFS_VALUES.has(name) : TMPFS_FLAGS.has(option);
    if (!valid) throw invalidParameter(`invalid tmpfs option ${JSON.stringify(name)}`);
  }
}
