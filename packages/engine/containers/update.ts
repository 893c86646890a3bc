import { conflict, type HostConfig, invalidParameter, type UpdateConfig } from "@gantry/spec";
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

/** Changes limits, published ports and restart policy of a container, running or not. Fields that are absent or zero stay. */
export async function updateContainer(engine: Engine, container: Container, request: UpdateConfig): Promise<string[]> {
  const warnings: string[] = [];
  return container.lock.run(async () => {
    if (container.removing || container.removed) {
      throw conflict(`cannot update container ${container.id}: container is marked for removal and cannot be "update"`);
    }
    const { hostConfig } = container.record;
    const policy = request.RestartPolicy;
    if (policy?.Name) {
      validateRestartPolicy(policy);
      if (hostConfig.AutoRemove === true && policy.Name !== "no") {
        throw invalidParameter("Restart policy cannot be updated because AutoRemove is enabled for the container");
      }
    }
    const updated: HostConfig = { ...hostConfig };
    for (const field of FIELDS) {
      const value = request[field];
      if (value !== null && value !== undefined && value !== 0 && value !== "")
        Object.assign(updated, { [field]: value });
    }
    if ((request.NanoCpus ?? 0) > 0 && ((hostConfig.CpuPeriod ?? 0) > 0 || (hostConfig.CpuQuota ?? 0) > 0)) {
      throw conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period or Quota has already been set");
    }
    if ((request.CpuPeriod ?? 0) > 0 || (request.CpuQuota ?? 0) > 0) {
      if ((hostConfig.NanoCpus ?? 0) > 0) {
        throw conflict("Conflicting options: CPU Period and Quota cannot be updated as NanoCPUs has already been set");
      }
    }
    const limit = updated.Memory ?? 0;
    if (
      (request.Memory ?? 0) > 0 &&
      (request.MemorySwap ?? 0) === 0 &&
      (hostConfig.MemorySwap ?? 0) > 0 &&
      limit > (hostConfig.MemorySwap as number)
    ) {
      throw conflict(
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
      );
    }
    validateResources(updated, warnings, true);
    if (container.task !== null && container.running) {
      await container.task.update(linuxResources(updated));
    }
    const { PublishAdd, PublishRemove } = request;
    if (PublishAdd || PublishRemove) {
      await updatePorts(engine, container, PublishAdd ?? {}, PublishRemove ?? {});
      updated.PortBindings = container.record.hostConfig.PortBindings;
    }
    if (policy?.Name) {
      updated.RestartPolicy = { Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0 };
    }
    container.record.hostConfig = updated;
    container.save();
    container.emit("update");
    return warnings;
  });
}
