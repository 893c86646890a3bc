import { type ImageConfig, invalidParameter, isDigest, parseJson } from "@gantry/spec";

/** Layers an image may have: what overlay can stack is some 500; Docker's own bound is 127. */
export const MAX_LAYERS = 500;

/** JSON bytes from outside as an object. Throws invalidParameter naming `what`. */
export function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalidParameter(`invalid ${what}: not JSON`, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidParameter(`invalid ${what}: not an object`);
  }
  return value as Record<string, unknown>;
}

const optionalString = (value: unknown) => value === undefined || value === null || typeof value === "string";

/**
 * An image config from outside, checked in what storage and engine rely on: rootfs, platform, history, and the types of
 * `config`'s fields. Throws invalidParameter.
 */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  const config = parseObject(bytes, "image config");
  const rootfs = config["rootfs"] as { type?: unknown; diff_ids?: unknown } | undefined;
  if (typeof rootfs !== "object" || rootfs === null) throw invalidParameter("invalid image JSON, no RootFS key");
  const ids = rootfs.diff_ids ?? [];
  if (rootfs.type !== "layers" || !Array.isArray(ids)) throw invalidParameter("invalid image config: bad rootfs");
  if (ids.length > MAX_LAYERS) throw invalidParameter("max depth exceeded");
  for (const id of ids) {
    if (typeof id !== "string" || !isDigest(id) || !id.startsWith("sha256:")) {
      throw invalidParameter(`invalid image config: bad diff ID ${JSON.stringify(id)?.slice(0, 200)}`);
    }
  }
  for (const key of ["os", "architecture", "variant", "created", "author", "comment"]) {
    if (!optionalString(config[key])) throw invalidParameter(`invalid image config: ${key} is no string`);
  }
  const history = config["history"];
  if (history !== undefined && history !== null && !(Array.isArray(history) && history.every(isObject))) {
    throw invalidParameter("invalid image config: bad history");
  }
  checkRunConfig(config["config"]);
  return { ...config, rootfs: { type: "layers", diff_ids: ids } } as unknown as ImageConfig;
}

const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
const isStrings = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === "string");

const RUN_CONFIG: Record<string, (value: unknown) => boolean> = {
  User: (value) => typeof value === "string",
  WorkingDir: (value) => typeof value === "string",
  StopSignal: (value) => typeof value === "string",
  StopTimeout: (value) => typeof value === "number",
  Env: isStrings,
  Cmd: isStrings,
  Entrypoint: isStrings,
  OnBuild: isStrings,
  Shell: isStrings,
  ExposedPorts: isObject,
  Volumes: isObject,
  Healthcheck: isObject,
  Labels: (value) => isObject(value) && Object.values(value as object).every((item) => typeof item === "string"),
};

function checkRunConfig(value: unknown): void {
  if (value === undefined || value === null) return;
  if (!isObject(value)) throw invalidParameter("invalid image config: config is no object");
  for (const [key, check] of Object.entries(RUN_CONFIG)) {
    const field = (value as Record<string, unknown>)[key];
    if (field !== undefined && field !== null && !check(field)) {
      throw invalidParameter(`invalid image config: config.${key} has the wrong type`);
    }
  }
}
