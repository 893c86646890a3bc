import { readFileSync } from "node:fs";
import { conflict, systemError, type TopResponse } from "@gantry/spec";
import type { Container } from "./container.ts";
import { topRequest } from "./top-arguments.ts";
import { readProcess } from "./top-process.ts";

/** The processes of a running container, in the columns that the ps arguments ask for. */
export async function topContainer(container: Container, psArgs: string): Promise<TopResponse> {
  const { columns, pids: chosen, commands } = topRequest(psArgs);
  await container.settled();
  if (container.state.status === "restarting") {
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  }
  if (container.task === null || !container.running) throw conflict(`container ${container.id} is not running`);
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const bootMs = Date.now() - uptime * 1000;
  const pids = (await container.task.pids()).sort((a, b) => a - b);
  const processes = pids
    .filter((pid) => chosen === null || chosen.has(pid))
    .map((pid) => readProcess(pid, bootMs))
    .filter((process) => process !== null && (commands === null || commands.has(process.comm)))
    .filter((process) => process !== null);
  // ps's answer where a name is nobody's.
  if (processes.length === 0 && commands !== null) throw systemError("ps: exit status 1");
  container.emit("top");
  return {
    Titles: columns.map(([heading]) => heading),
    Processes: processes.map((process) => columns.map(([, value]) => value(process))),
  };
}
