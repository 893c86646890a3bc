import { invalidParameter } from "@gantry/spec";
import { csvFields } from "./csv.ts";
import { didYouMean } from "./suggest.ts";

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";
export type MountSharing = "shared" | "private" | "locked";

/** A `RUN --mount=…`. */
export interface RunMount {
  type: MountType;
  /** Stage, image or named context; the build context (bind) or nothing (cache) where it is empty. */
  from: string;
  source: string;
  target: string;
  readonly: boolean;
  /** tmpfs: bytes, 0 for no limit. */
  size: number;
  id: string;
  sharing?: MountSharing;
  required: boolean;
  /** secret: the environment variable that gets it; "" for one named as the secret. */
  env?: string;
  mode?: number;
  uid?: number;
  gid?: number;
}

const TYPES = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
const SHARINGS = ["shared", "private", "locked"] as const;
const KEYS =
  "type from source target readonly id sharing required size mode uid gid src dst destination ro rw readwrite env".split(
    " ",
  );

/**
 * Reads a `--mount` value, variables replaced by `expandWord`. Throws invalidParameter with Docker's words.
 */
export function parseMount(text: string, expandWord: (word: string) => string): RunMount {
  const mount: RunMount = {
    type: "bind",
    from: "",
    source: "",
    target: "",
    readonly: false,
    size: 0,
    id: "",
    required: false,
  };
  let explicitMode = false;
  for (const field of csvFields(text)) {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const value = equals < 0 ? undefined : expandWord(field.slice(equals + 1));
    switch (key) {
      case "readonly":
      case "ro":
        mount.readonly = value === undefined || bool(key, value);
        explicitMode = true;
        continue;
      case "readwrite":
      case "rw":
        mount.readonly = !(value === undefined || bool(key, value));
        explicitMode = true;
        continue;
      case "required":
        if (mount.type !== "secret" && mount.type !== "ssh") throw unexpectedFor(key, mount.type);
        mount.required = value === undefined || bool(key, value);
        continue;
    }
    if (value === undefined) throw invalidParameter(`invalid field '${field}' must be a key=value pair`);
    setField(mount, key, value, field);
  }
  if (!explicitMode) mount.readonly = mount.type !== "cache" && mount.type !== "tmpfs";
  check(mount);
  return mount;
}

/** What can be said of a `--mount` before variables are known: its `from` must not hold any. */
export function precheckMount(text: string): void {
  for (const field of csvFields(text)) {
    const match = /^from=(.*)$/i.exec(field);
    const dollar = match ? match[1]!.indexOf("$") : -1;
    if (match && dollar >= 0 && dollar !== match[1]!.length - 1) {
      throw invalidParameter("'from' doesn't support variable expansion, define alias stage instead");
    }
  }
}

/** The `from` of a `--mount` value, known without variables. */
export function mountFrom(text: string): string {
  const field = csvFields(text).find((item) => /^from=/i.test(item));
  return field ? field.slice(field.indexOf("=") + 1) : "";
}

function setField(mount: RunMount, key: string, value: string, field: string): void {
  switch (key) {
    case "type": {
      const type = TYPES.find((t) => t === value.toLowerCase());
      if (!type)
        throw invalidParameter(`unsupported mount type ${JSON.stringify(value)}${didYouMean(value, TYPES, true)}`);
      mount.type = type;
      return;
    }
    case "from":
      mount.from = value;
      return;
    case "source":
    case "src":
      mount.source = value;
      return;
    case "target":
    case "dst":
    case "destination":
      mount.target = value;
      return;
    case "size":
      if (mount.type !== "tmpfs") throw unexpectedFor(key, mount.type);
      mount.size = ramBytes(key, value);
      return;
    case "id":
      mount.id = value;
      return;
    case "sharing": {
      const sharing = SHARINGS.find((s) => s === value.toLowerCase());
      if (!sharing) {
        throw invalidParameter(
          `unsupported sharing value ${JSON.stringify(value)}${didYouMean(value, SHARINGS, true)}`,
        );
      }
      mount.sharing = sharing;
      return;
    }
    case "mode":
      mount.mode = integer(key, value, 8);
      return;
    case "uid":
      mount.uid = integer(key, value, 10);
      return;
    case "gid":
      mount.gid = integer(key, value, 10);
      return;
    case "env":
      mount.env = value;
      return;
  }
  throw invalidParameter(`unexpected key '${key}' in '${field}'${didYouMean(key, KEYS, true)}`);
}

function check(mount: RunMount): void {
  if (mount.type === "bind" || mount.type === "tmpfs") {
    for (const key of ["mode", "uid", "gid"] as const) {
      if (mount[key] !== undefined) throw invalidParameter(`${key} not allowed for "${mount.type}" type mounts`);
    }
  }
  if (mount.type === "secret") {
    if (mount.from !== "") throw invalidParameter("secret mount should not have a from");
    if (mount.sharing) throw invalidParameter("secret mount should not define sharing");
    if (mount.source === "" && mount.target === "" && mount.id === "") {
      throw invalidParameter("invalid secret mount. one of source, target required");
    }
    if (mount.source !== "" && mount.id !== "") throw invalidParameter("both source and id can't be set");
  }
  if (mount.sharing && mount.type !== "cache") {
    throw invalidParameter(`invalid cache sharing set for ${mount.type} mount`);
  }
}

function unexpectedFor(key: string, type: MountType) {
  return invalidParameter(`unexpected key '${key}' for mount type '${type}'`);
}

/** Go's strconv.ParseBool. */
function bool(key: string, value: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw invalidParameter(`invalid value for ${key}: ${value}`);
}

function integer(key: string, value: string, radix: 8 | 10): number {
  const number = (radix === 8 ? /^[0-7]{1,11}$/ : /^\d{1,10}$/).test(value)
    ? Number.parseInt(value, radix)
    : Number.NaN;
  if (!(number <= 0xffffffff)) throw invalidParameter(`invalid value ${value} for ${key}`);
  return number;
}

/** "64m", "1.5GiB", "100": bytes, units of 1024. */
function ramBytes(key: string, value: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp])?(?:i?b)?$/i.exec(value);
  if (!match) throw invalidParameter(`invalid value for ${key}: ${value}`);
  return Math.floor(Number(match[1]) * 1024 ** " kmgtp".indexOf((match[2] ?? " ").toLowerCase()));
}
