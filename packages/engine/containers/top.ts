import { readFileSync } from "node:fs";
import { systemError, type TopResponse } from "@gantry/spec";
import type { Container } from "./container.ts";
import { runningTask } from "./running.ts";
import { topRequest } from "./top-arguments.ts";
import { readProcess } from "./top-process.ts";

/** The processes of a running container, in the columns that the ps arguments ask for. */
export async function topContainer(container: Container, psArgs: string): Promise<TopResponse> {
  const { columns, pids: chosen, commands } = topRequest(psArgs);
  await container.settled();
  const task = runningTask(container);
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const bootMs = Date.now() - uptime * 1000;
  const pids = (await task.pids()).sort((a, b) => a - b);
  const processes = pids
    .filter((pid) => chosen === null || chosen.has(pid))
    .map((pid) => readProcess(pid, bootMs))
    .filter((process) => process !== null)
    .filter((process) => commands === null || commands.has(process.comm));
  // ps's answer where a name is nobody's.
  if (processes.length === 0 && commands !== null) throw systemError("ps: exit status 1");
  container.emit("top");
  return {
    Titles: columns.map(([heading]) => heading),
    Processes: processes.map((process) => columns.map(([, value]) => value(process))),
  };
}
