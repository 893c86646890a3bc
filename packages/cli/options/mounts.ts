import { resolve } from "node:path";
import type { Mount } from "@gantry/spec";
import { csvFields, keyValue } from "./csv.ts";
import { parseSize } from "./sizes.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** One `--mount`. Throws an Error with Docker's reason. */
export function parseMount(text: string): Mount {
  const mount: Writable<Mount> = { Type: "volume" };
  const bind: NonNullable<Mount["BindOptions"]> = {};
  const volume: NonNullable<Mount["VolumeOptions"]> = {};
  const image: NonNullable<Mount["ImageOptions"]> = {};
  const tmpfs: NonNullable<Mount["TmpfsOptions"]> = {};
  const labels: Record<string, string> = {};
  const driverOptions: Record<string, string> = {};
  let recursive = "";
  if (text === "") throw new Error("value is empty");
  for (const field of csvFields(text)) {
    const [rawKey, value] = keyValue(field);
    const key = rawKey.toLowerCase();
    if (key.trim() !== key)
      throw new Error(`invalid option '${rawKey}' in '${field}': option should not have whitespace`);
    if (
      value === undefined &&
      !["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"].includes(key)
    ) {
      throw new Error(`invalid field '${field}' must be a key=value pair`);
    }
    const bool = () => {
      if (value === undefined || ["1", "true", "t", "T", "TRUE", "True"].includes(value)) return true;
      if (["0", "false", "f", "F", "FALSE", "False"].includes(value)) return false;
      throw new Error(
        `invalid value for '${key}': invalid boolean value (${JSON.stringify(value)}): must be one of "true", "1", "false", or "0" (default "true")`,
      );
    };
    const words = value ?? "";
    switch (key) {
      case "type":
        mount.Type = words.toLowerCase();
        break;
      case "source":
      case "src":
        mount.Source =
          words === "." || words.startsWith("./") || words.startsWith("../") || words === ".." ? resolve(words) : words;
        break;
      case "target":
      case "dst":
      case "destination":
        mount.Target = words;
        break;
      case "readonly":
      case "ro":
        mount.ReadOnly = bool();
        break;
      case "consistency":
        mount.Consistency = words.toLowerCase();
        break;
      case "bind-propagation":
        bind.Propagation = words.toLowerCase();
        break;
      case "bind-nonrecursive":
        bind.NonRecursive = bool();
        break;
      case "bind-create-src":
        bind.CreateMountpoint = bool();
        break;
      case "bind-recursive":
        recursive = words;
        break;
      case "volume-subpath":
        volume.Subpath = words;
        break;
      case "volume-nocopy":
        volume.NoCopy = bool();
        break;
      case "volume-label": {
        const [name, label] = keyValue(words);
        labels[name] = label ?? "";
        break;
      }
      case "volume-driver":
        volume.DriverConfig = { ...volume.DriverConfig, Name: words };
        break;
      case "volume-opt": {
        const [name, option] = keyValue(words);
        driverOptions[name] = option ?? "";
        break;
      }
      case "image-subpath":
        image.Subpath = words;
        break;
      case "tmpfs-size":
        try {
          tmpfs.SizeBytes = parseSize(words);
        } catch {
          throw new Error(`invalid value for ${key}: ${words}`);
        }
        break;
      case "tmpfs-mode":
        if (!/^[0-7]{1,10}$/.test(words)) throw new Error(`invalid value for ${key}: ${words}`);
        tmpfs.Mode = Number.parseInt(words, 8);
        break;
      default:
        throw new Error(`unknown option '${rawKey}' in '${field}'`);
    }
  }
  applyRecursive(recursive, mount, bind);
  if (Object.keys(labels).length > 0) volume.Labels = labels;
  if (Object.keys(driverOptions).length > 0) volume.DriverConfig = { ...volume.DriverConfig, Options: driverOptions };
  if (!mount.Type) throw new Error("type is required");
  if (!mount.Target) throw new Error("target is required");
  const groups: [type: string, name: string, options: object, key: keyof Mount][] = [
    ["bind", "bind", bind, "BindOptions"],
    ["volume", "volume", volume, "VolumeOptions"],
    ["image", "image", image, "ImageOptions"],
    ["tmpfs", "tmpfs", tmpfs, "TmpfsOptions"],
  ];
  for (const [type, name, options, key] of groups) {
    if (Object.keys(options).length === 0) continue;
    if (mount.Type !== type) throw new Error(`cannot mix '${name}-*' options with mount type '${mount.Type}'`);
    (mount as Record<string, unknown>)[key] = options;
  }
  return mount;
}

function applyRecursive(recursive: string, mount: Mount, bind: NonNullable<Mount["BindOptions"]>): void {
  if (recursive === "" || recursive === "enabled") return;
  if (recursive === "disabled") {
    bind.NonRecursive = true;
  } else if (recursive === "writable") {
    bind.ReadOnlyNonRecursive = true;
  } else if (recursive === "readonly") {
    bind.ReadOnlyForceRecursive = true;
    if (!mount.ReadOnly)
      throw new Error("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
    if (bind.Propagation !== "rprivate") {
      throw new Error(
        "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
      );
    }
  } else {
    throw new Error(
      `invalid value for bind-recursive: ${recursive} (must be "enabled", "disabled", "writable", or "readonly")`,
    );
  }
  if (!mount.ReadOnly && recursive === "writable") {
    throw new Error("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  }
}

/** Whether a `-v` is just a path in the container, and names no source (a bind mount or a volume by name). */
export function isAnonymous(volume: string): boolean {
  return volume !== "" && !volume.includes(":");
}

/** A `-v` with its source made absolute where it is a relative path. Throws an Error for a malformed one. */
export function resolveVolume(volume: string): string {
  if (volume === "") throw new Error("invalid empty volume spec");
  const parts = volume.split(":");
  if (parts.some((part) => part === "")) throw new Error(`invalid spec: ${volume}: empty section between colons`);
  const [source, ...rest] = parts as [string, ...string[]];
  return source.startsWith(".") ? [resolve(source), ...rest].join(":") : volume;
}
