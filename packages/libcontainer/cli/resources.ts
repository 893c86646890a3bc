import { readFileSync } from "node:fs";
import { conflict, invalidParameter, type LinuxResources } from "@gantry/spec";
import { last, parseArguments } from "./arguments.ts";
import type { Context } from "./context.ts";

export async function pause(context: Context, words: string[]): Promise<number> {
  const { store, cgroups } = context;
  const container = store.load(parseArguments(words, {}).rest[0]);
  const status = store.status(container, cgroups);
  if (status !== "running" && status !== "created") throw conflict(`container not running: ${status}`);
  await cgroups.freeze(container.cgroup);
  return 0;
}

export async function resume(context: Context, words: string[]): Promise<number> {
  const { store, cgroups } = context;
  const container = store.load(parseArguments(words, {}).rest[0]);
  if (store.status(container, cgroups) !== "paused") throw conflict("container not paused");
  await cgroups.thaw(container.cgroup);
  return 0;
}

/** "64m" in bytes; "-1" as it is. */
function bytes(text: string): number {
  const match = /^(-?\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (!match) throw invalidParameter(`invalid size: ${JSON.stringify(text)}`);
  return Math.trunc(Number(match[1]) * 1024 ** " kmgt".indexOf(match[2]?.toLowerCase() || " "));
}

const NUMBERS = [
  "blkio-weight",
  "cpu-period",
  "cpu-quota",
  "cpu-burst",
  "cpu-share",
  "cpu-rt-period",
  "cpu-rt-runtime",
  "cpu-idle",
  "pids-limit",
];
const TEXTS = ["cpuset-cpus", "cpuset-mems", "memory", "memory-reservation", "memory-swap", "resources"];

export async function update(context: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, { values: [...NUMBERS, ...TEXTS], short: { r: "resources" } });
  const { store, cgroups } = context;
  const container = store.load(args.rest[0]);
  if (store.status(container, cgroups) === "stopped") throw conflict("cannot update a stopped container");
  const file = last(args, "resources");
  if (file) {
    const text = readFileSync(file === "-" ? "/dev/stdin" : file, "utf8");
    cgroups.update(container.cgroup, JSON.parse(text) as LinuxResources);
    return 0;
  }
  const number = (name: string) => {
    const text = last(args, name);
    if (text === undefined) return undefined;
    if (!/^-?\d+$/.test(text)) throw invalidParameter(`invalid value for ${name}: ${text}`);
    return Number(text);
  };
  const size = (name: string) => (last(args, name) === undefined ? undefined : bytes(last(args, name)!));
  const defined = <T extends object>(given: T): T | undefined => {
    const kept = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    return Object.keys(kept).length ? (kept as T) : undefined;
  };
  const pids = number("pids-limit");
  const resources: LinuxResources = {
    cpu: defined({
      shares: number("cpu-share"),
      quota: number("cpu-quota"),
      burst: number("cpu-burst"),
      period: number("cpu-period"),
      realtimePeriod: number("cpu-rt-period"),
      realtimeRuntime: number("cpu-rt-runtime"),
      idle: number("cpu-idle"),
      cpus: last(args, "cpuset-cpus"),
      mems: last(args, "cpuset-mems"),
    }),
    memory: defined({ limit: size("memory"), reservation: size("memory-reservation"), swap: size("memory-swap") }),
    blockIO: defined({ weight: number("blkio-weight") }),
    pids: pids === undefined ? undefined : { limit: pids },
  };
  cgroups.update(container.cgroup, defined(resources) ?? {});
  return 0;
}
