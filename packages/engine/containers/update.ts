import { conflict, GantryError, type HostConfig, invalidParameter, type UpdateConfig } from "@gantry/spec";
import { validateRestartPolicy } from "../config/host-config.ts";
import { validateResources } from "../config/limits.ts";
import type { Engine } from "../engine.ts";
import { updatePorts } from "../networks/publish.ts";
import { linuxResources } from "../spec/resources.ts";
import type { Container } from "./container.ts";

const FIELDS = [
  "CpuShares",
  "CpuPeriod",
  "CpuQuota",
  "CpuRealtimePeriod",
  "CpuRealtimeRuntime",
  "CpusetCpus",
  "CpusetMems",
  "NanoCpus",
  "Memory",
  "MemorySwap",
  "MemoryReservation",
  "BlkioWeight",
  "PidsLimit",
] as const;

/** Limits by device. In an update a list takes the place of what was set, an empty one ends it. */
export const DEVICE_LIMITS = [
  "BlkioWeightDevice",
  "BlkioDeviceReadBps",
  "BlkioDeviceWriteBps",
  "BlkioDeviceReadIOps",
  "BlkioDeviceWriteIOps",
] as const;

/** The configuration with the limits by device that end now set to none: cgroups keep what nobody mentions. */
function endingLimits(before: HostConfig, updated: HostConfig): HostConfig {
  const all: HostConfig = { ...updated };
  for (const field of DEVICE_LIMITS) {
    const kept = new Set(updated[field]?.map(({ Path }) => Path));
    const ended = (before[field] ?? []).filter(({ Path }) => !kept.has(Path));
    const none = field === "BlkioWeightDevice" ? { Weight: 0 } : { Rate: 0 };
    if (ended.length > 0)
      Object.assign(all, { [field]: [...(updated[field] ?? []), ...ended.map(({ Path }) => ({ Path, ...none }))] });
  }
  return all;
}

/** Refuses what cannot go together, in the request and with what is set already; in Docker's words, and its order. */
function checkUpdate(container: Container, request: UpdateConfig, updated: HostConfig): void {
  const { hostConfig } = container.record;
  if ((request.NanoCpus ?? 0) > 0) {
    for (const [field, what] of [
      ["CpuPeriod", "CPU Period"],
      ["CpuQuota", "CPU Quota"],
    ] as const) {
      if ((hostConfig[field] ?? 0) > 0) {
        throw conflict(`Conflicting options: Nano CPUs cannot be updated as ${what} has already been set`);
      }
    }
  }
  for (const [field, what] of [
    ["CpuPeriod", "CPU Period"],
    ["CpuQuota", "CPU Quota"],
  ] as const) {
    if ((request[field] ?? 0) > 0 && (hostConfig.NanoCpus ?? 0) > 0) {
      throw conflict(`Conflicting options: ${what} cannot be updated as NanoCPUs has already been set`);
    }
  }
  if (
    (request.Memory ?? 0) > 0 &&
    (request.MemorySwap ?? 0) === 0 &&
    (hostConfig.MemorySwap ?? 0) > 0 &&
    (updated.Memory ?? 0) > (hostConfig.MemorySwap as number)
  ) {
    throw conflict(
      "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    );
  }
}

/** Changes limits, published ports and restart policy of a container, running or not. Fields that are absent or zero stay, lists that are absent too. */
export async function updateContainer(engine: Engine, container: Container, request: UpdateConfig): Promise<string[]> {
  const warnings: string[] = [];
  return container.lock.run(async () => {
    const refused = (error: unknown) =>
      error instanceof GantryError
        ? new GantryError(error.kind, `Cannot update container ${container.id}: ${error.message}`, { cause: error })
        : error;
    if (container.removing || container.removed) {
      throw conflict(`cannot update container ${container.id}: container is marked for removal and cannot be "update"`);
    }
    const { hostConfig } = container.record;
    const policy = request.RestartPolicy;
    if (policy?.Name) {
      validateRestartPolicy(policy);
      if (hostConfig.AutoRemove === true && policy.Name !== "no") {
        throw refused(
          invalidParameter("Restart policy cannot be updated because AutoRemove is enabled for the container"),
        );
      }
    }
    const updated: HostConfig = { ...hostConfig };
    for (const field of FIELDS) {
      const value = request[field];
      if (value !== null && value !== undefined && value !== 0 && value !== "")
        Object.assign(updated, { [field]: value });
    }
    for (const field of DEVICE_LIMITS) if (request[field]) Object.assign(updated, { [field]: request[field] });
    // What is wrong in itself comes first.
    validateResources(Object.fromEntries(FIELDS.map((field) => [field, request[field]])) as HostConfig, [], true);
    try {
      checkUpdate(container, request, updated);
    } catch (error) {
      throw refused(error);
    }
    validateResources(updated, warnings, true);
    if (container.task !== null && container.running) {
      await container.task.update(linuxResources(endingLimits(hostConfig, updated)));
    }
    const { PublishAdd, PublishRemove } = request;
    if (PublishAdd || PublishRemove) {
      await updatePorts(engine, container, PublishAdd ?? {}, PublishRemove ?? {});
      updated.PortBindings = container.record.hostConfig.PortBindings;
    }
    if (policy?.Name) {
      updated.RestartPolicy = { Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0 };
    }
    // -1 has lifted the limit; what is shown then is none.
    if ((updated.PidsLimit ?? 0) < 0) updated.PidsLimit = 0;
    container.record.hostConfig = updated;
    try {
      engine.containers.store.save(container.record, container.state);
    } catch (error) {
      container.record.hostConfig = hostConfig;
      throw error;
    }
    container.emit("update");
    return warnings;
  });
}
