import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { int, list, str } from "../flags.ts";
import { restartPolicy } from "../options/container-config.ts";
import { containerFlags } from "../options/container-flags.ts";
import { parsePorts, parseRemovedPorts } from "../options/ports.ts";
import { err, line } from "../output.ts";

export const update = defineCommand({
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Change limits of containers",
  aliases: ["container update", "update"],
  flags: {
    "blkio-weight": containerFlags["blkio-weight"],
    "cpu-period": containerFlags["cpu-period"],
    "cpu-quota": containerFlags["cpu-quota"],
    "cpu-rt-period": containerFlags["cpu-rt-period"],
    "cpu-rt-runtime": containerFlags["cpu-rt-runtime"],
    "cpu-shares": containerFlags["cpu-shares"],
    cpus: containerFlags.cpus,
    "cpuset-cpus": containerFlags["cpuset-cpus"],
    "cpuset-mems": containerFlags["cpuset-mems"],
    "kernel-memory": { ...containerFlags["kernel-memory"], hidden: true },
    memory: containerFlags.memory,
    "memory-reservation": containerFlags["memory-reservation"],
    "memory-swap": containerFlags["memory-swap"],
    "pids-limit": int("", "Limit of processes (-1 for unlimited)"),
    "publish-add": list("", "Publish more ports of the container, as with run's --publish"),
    "publish-rm": list("", "Close published ports: container port, or host port:container port"),
    restart: str("", "When to start the container again after its end"),
  },
  arity: { atLeast: 1 },
  async run({ cli, flags, changed, args }) {
    if (changed.size === 0) throw new CliError("you must provide one or more flags when using this command");
    const config = {
      BlkioWeight: flags["blkio-weight"],
      CpuShares: flags["cpu-shares"],
      CpuPeriod: flags["cpu-period"],
      CpuQuota: flags["cpu-quota"],
      CpuRealtimePeriod: flags["cpu-rt-period"],
      CpuRealtimeRuntime: flags["cpu-rt-runtime"],
      CpusetCpus: flags["cpuset-cpus"],
      CpusetMems: flags["cpuset-mems"],
      Memory: flags.memory,
      MemoryReservation: flags["memory-reservation"],
      MemorySwap: flags["memory-swap"],
      NanoCpus: flags.cpus,
      ...(changed.has("pids-limit") ? { PidsLimit: flags["pids-limit"] } : {}),
      ...(changed.has("publish-add") ? { PublishAdd: parsePorts(flags["publish-add"], []).bindings } : {}),
      ...(changed.has("publish-rm") ? { PublishRemove: parseRemovedPorts(flags["publish-rm"]) } : {}),
      RestartPolicy: flags.restart ? restartPolicy(flags.restart) : { Name: "", MaximumRetryCount: 0 },
    };
    const failures: string[] = [];
    const warnings: string[] = [];
    for (const name of args) {
      try {
        warnings.push(...((await cli.docker.containers.update(name, config)).Warnings ?? []));
        line(name);
      } catch (error) {
        failures.push(errorText(error));
      }
    }
    if (warnings.length > 0) err(warnings.map((warning) => `${warning}\n`).join(""));
    if (failures.length > 0) throw new CliError(failures.join("\n"));
  },
});
