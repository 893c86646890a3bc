import type { Runtime } from "@gantry/libcontainer";
import { invalidParameter } from "@gantry/spec";
import type { DaemonConfig } from "./daemon-config.ts";

/** External runtimes by name; throws where a binary is missing. */
export type MakeRuntimes = (named: DaemonConfig["engine"]["runtimes"]) => [string, Runtime][];

/**
 * Takes over from `next` what dockerd takes over at SIGHUP: debug, labels, live-restore, shutdown-timeout, runtimes,
 * default-runtime, registries and mirrors, limits of pulls and pushes. Other keys wait for a restart. A key that
 * daemon.json no longer has keeps its value, but for the limits, which go back to their defaults.
 *
 * @param config the running daemon's, changed in place: `engine` stays the same object, `registry` becomes a new one
 * @param runtimes those in use; new ones are added
 * @throws where a runtime's binary is missing or the default runtime is not there; then nothing has changed
 */
export function reloadConfig(
  config: DaemonConfig,
  next: DaemonConfig,
  runtimes: Map<string, Runtime>,
  makeRuntimes: MakeRuntimes,
): void {
  const now = config.engine;
  const set = (key: string) => next.fileKeys.has(key);
  const named = set("runtimes") ? next.engine.runtimes : now.runtimes;
  const byDefault = set("default-runtime") ? next.engine.defaultRuntime : now.defaultRuntime;
  if (now.runtimes[byDefault] !== undefined && named[byDefault] === undefined) {
    throw invalidParameter(`specified default runtime '${byDefault}' does not exist`);
  }
  // A runtime that is no longer named stays known to the engine: its containers may still run.
  for (const [name, runtime] of set("runtimes") ? makeRuntimes(named) : []) runtimes.set(name, runtime);
  now.runtimes = named;
  now.defaultRuntime = byDefault;
  if (set("debug")) now.debug = next.engine.debug;
  if (set("labels")) now.labels = next.engine.labels;
  if (set("live-restore")) now.liveRestore = next.engine.liveRestore;
  if (set("shutdown-timeout")) now.shutdownTimeout = next.engine.shutdownTimeout;
  if (set("insecure-registries")) now.insecureRegistries = next.engine.insecureRegistries;
  if (set("registry-mirrors")) now.registryMirrors = next.engine.registryMirrors;
  const before = config.registry;
  config.registry = {
    ...before,
    maxConcurrentDownloads: next.registry.maxConcurrentDownloads,
    maxConcurrentUploads: next.registry.maxConcurrentUploads,
    maxDownloadAttempts: next.registry.maxDownloadAttempts,
    insecureRegistries: (set("insecure-registries") ? next.registry : before).insecureRegistries,
    registryMirrors: (set("registry-mirrors") ? next.registry : before).registryMirrors,
    registries: (set("registries") ? next.registry : before).registries,
  };
}

/** The values that a reload may change, as the attributes of its event. */
export function reloadAttributes({ engine, registry }: DaemonConfig): Record<string, string> {
  return {
    debug: String(engine.debug),
    "default-cgroupns-mode": engine.defaultCgroupnsMode,
    "default-ipc-mode": engine.defaultIpcMode,
    "default-runtime": engine.defaultRuntime,
    "default-shm-size": String(engine.defaultShmSize),
    features: "map[]",
    "insecure-registries": JSON.stringify(registry.insecureRegistries),
    labels: JSON.stringify(engine.labels),
    "live-restore": String(engine.liveRestore),
    "max-concurrent-downloads": String(registry.maxConcurrentDownloads),
    "max-concurrent-uploads": String(registry.maxConcurrentUploads),
    "max-download-attempts": String(registry.maxDownloadAttempts),
    "registry-mirrors": JSON.stringify(registry.registryMirrors),
    runtimes: JSON.stringify(engine.runtimes),
    "shutdown-timeout": String(engine.shutdownTimeout),
  };
}
