import { type BuildRequest, parsePlatform, type RunSettings } from "@gantry/builder";
import { GantryError, invalidParameter, type OciRlimit, parseJson } from "@gantry/spec";
import { type Static, Type } from "@sinclair/typebox";

const text = Type.Optional(Type.String());
const flag = Type.Optional(Type.Boolean());
const number = Type.Optional(Type.Integer());
const texts = Type.Optional(Type.Array(Type.String()));

/** Everything POST /build takes in its query. */
export const BuildQuery = Type.Object({
  t: texts,
  dockerfile: text,
  remote: text,
  q: flag,
  nocache: flag,
  cachefrom: text,
  pull: flag,
  rm: text,
  forcerm: flag,
  memory: number,
  memswap: number,
  cpushares: number,
  cpuperiod: number,
  cpuquota: number,
  cpusetcpus: text,
  cpusetmems: text,
  cgroupparent: text,
  shmsize: number,
  ulimits: text,
  buildargs: text,
  labels: text,
  networkmode: text,
  extrahosts: texts,
  securityopt: texts,
  isolation: text,
  squash: flag,
  platform: text,
  target: text,
  outputs: text,
  version: text,
  buildid: text,
  session: text,
});
export type BuildQuery = Static<typeof BuildQuery>;

/** The query as a build request, without what comes from elsewhere. Throws invalidParameter in Docker's words. */
export function buildRequest(query: BuildQuery): Omit<BuildRequest, "source" | "signal" | "auth"> {
  if (query.squash) throw invalidParameter("squash is only supported with experimental mode");
  if (query.securityopt) throw invalidParameter("security options are not supported on linux");
  if (query.isolation && query.isolation !== "default") {
    throw invalidParameter(`unsupported isolation: ${JSON.stringify(query.isolation)}`);
  }
  if (query.version && query.version !== "1") {
    throw invalidParameter(
      query.version === "2"
        ? "this daemon builds without BuildKit: use DOCKER_BUILDKIT=0"
        : `invalid version ${JSON.stringify(query.version)}`,
    );
  }
  if (query.outputs && !isEmptyList(query.outputs)) {
    throw invalidParameter("outputs are not supported by the classic builder");
  }
  const forceRemove = query.forcerm ?? false;
  return {
    dockerfile: query.dockerfile ?? "",
    tags: query.t ?? [],
    target: query.target ?? "",
    buildArgs: json(query.buildargs, "error reading build args", isNullableStrings) ?? {},
    labels: json(query.labels, "error reading labels", isStrings) ?? {},
    platform: query.platform ? parsePlatform(query.platform) : undefined,
    noCache: query.nocache ?? false,
    pull: query.pull ?? false,
    cacheFrom: json(query.cachefrom, "error reading cache-from", isStringList) ?? [],
    remove: forceRemove || query.rm === undefined || query.rm === "" || !/^(0|no|false|none)$/i.test(query.rm.trim()),
    forceRemove,
    quiet: query.q ?? false,
    run: runSettings(query),
  };
}

function runSettings(query: BuildQuery): RunSettings {
  return {
    networkMode: query.networkmode ?? "",
    extraHosts: query.extrahosts ?? [],
    memory: query.memory ?? 0,
    memorySwap: query.memswap ?? 0,
    cpuShares: query.cpushares ?? 0,
    cpuPeriod: query.cpuperiod ?? 0,
    cpuQuota: query.cpuquota ?? 0,
    cpusetCpus: query.cpusetcpus ?? "",
    cpusetMems: query.cpusetmems ?? "",
    cgroupParent: query.cgroupparent ?? "",
    shmSize: query.shmsize ?? 0,
    rlimits: (json(query.ulimits, "error reading ulimit settings", isUlimits) ?? []).map(toRlimit),
    // Secrets come over a session, which the classic endpoint does not have.
    secrets: { secret: async () => null, sshAgent: async () => null },
  };
}

interface Ulimit {
  Name: string;
  Soft: number;
  Hard: number;
}

function toRlimit({ Name, Soft, Hard }: Ulimit): OciRlimit {
  if (!/^[a-z]{2,12}$/.test(Name)) throw invalidParameter(`invalid ulimit type: ${Name}`);
  return { type: `RLIMIT_${Name.toUpperCase()}`, soft: Soft, hard: Hard };
}

function json<T>(text: string | undefined, what: string, check: (value: unknown) => value is T): T | null {
  if (!text) return null;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new GantryError("invalidParameter", `${what}: ${(error as Error).message}`);
  }
  if (value === null) return null;
  if (!check(value)) throw invalidParameter(`${what}: json: cannot unmarshal into the expected type`);
  return value;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isStrings(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((item) => typeof item === "string");
}

function isNullableStrings(value: unknown): value is Record<string, string | null> {
  return isRecord(value) && Object.values(value).every((item) => item === null || typeof item === "string");
}

function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isUlimits(value: unknown): value is Ulimit[] {
  return (
    Array.isArray(value) &&
    value.every(
      (item) =>
        isRecord(item) &&
        typeof item["Name"] === "string" &&
        Number.isInteger(item["Soft"]) &&
        Number.isInteger(item["Hard"]),
    )
  );
}

function isEmptyList(text: string): boolean {
  return /^\s*(\[\s*\]|null)\s*$/.test(text);
}
