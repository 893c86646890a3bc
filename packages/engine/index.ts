/** The domain: containers and everything around them, as functions over an `Engine`. */

export {
  type CopyToOptions,
  copyFromContainer,
  copyToContainer,
  exportContainer,
  statContainerPath,
} from "./archive/copy.ts";
export { defaultEngineConfig, type EngineConfig } from "./config/engine-config.ts";
export { logDrivers, validateLogConfig } from "./config/log-config.ts";
export { ENDPOINT_SYSCTLS, interfaceSysctl, parseBool } from "./config/modes.ts";
export { parseSignal } from "./config/signals.ts";
export { attachContainer, DetachWatcher, parseDetachKeys } from "./containers/attach.ts";
export { type CommitOptions, commitContainer } from "./containers/commit.ts";
export { Container, type ExitNotice } from "./containers/container.ts";
export { createContainer } from "./containers/create.ts";
export { inspectContainer } from "./containers/inspect.ts";
export { removeLink } from "./containers/links.ts";
export { type ListOptions, listContainers } from "./containers/list.ts";
export { pruneContainers } from "./containers/prune.ts";
export { removeContainer, volumeUsers } from "./containers/remove.ts";
export { startContainer } from "./containers/start.ts";
export { sampleStats } from "./containers/stats.ts";
export { killContainer, pauseContainer, restartContainer, stopContainer, unpauseContainer } from "./containers/stop.ts";
export { topContainer } from "./containers/top.ts";
export { DEVICE_LIMITS, updateContainer } from "./containers/update.ts";
export { parseWaitCondition, type WaitCondition, waitContainer } from "./containers/wait.ts";
export { Engine, type EngineParts } from "./engine.ts";
export { EventBus, eventMatches } from "./events/event-bus.ts";
export { checkExecStart, createExec, inspectExec, sizeOf, startExec } from "./exec/exec.ts";
export type { Exec } from "./exec/execs.ts";
export { Filters, timeFilter } from "./filters.ts";
export { newId, shortId } from "./ids.ts";
export {
  type CommitRequest,
  Images,
  type ImagesOptions,
  type ImageUser,
  type ImportRequest,
  importMessage,
  openImages,
  openUrl,
  type PullRequest,
  type PushRequest,
} from "./images/index.ts";
export { checkLogs, formatEntry, type LogOptions, readLogs } from "./logs/logs.ts";
export { connectNetwork, createNetwork, disconnectNetwork, listNetworks, pruneNetworks } from "./networks/networks.ts";
export { applyRestartPolicies, openEngine, shutdownEngine } from "./open.ts";
export { openDatabase } from "./state/database.ts";
export { now, nowNs, parseUnixTime, ZERO_TIME } from "./time.ts";
export {
  createVolume,
  inspectVolume,
  listVolumes,
  pruneVolumes,
  removeVolume,
  volumeUsage,
} from "./volumes/volumes.ts";
