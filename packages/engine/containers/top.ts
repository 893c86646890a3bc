import { readFileSync } from "node:fs";
import { conflict, invalidParameter, type TopResponse } from "@gantry/spec";
import type { Container } from "./container.ts";
import { type Column, column, FORMATS } from "./top-columns.ts";
import { readProcess } from "./top-process.ts";

/** Which columns ps arguments ask for: -ef, -l, aux, -o a,b=TITLE and what is like them. */
export function columnsFor(text: string): Column[] {
  const words = text.trim() === "" ? ["-ef"] : text.trim().split(/\s+/);
  const chosen: Column[] = [];
  let unix = "";
  let bsd = "";
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const format = /^(?:-?[a-zA-Z]*o|--format=?)(.*)$/.exec(word);
    if (format !== null && !/^-?(aux|ef)/.test(word)) {
      const list = format[1] === "" || format[1] === undefined ? (words[++i] ?? "") : format[1].replace(/^=/, "");
      for (const name of list.split(",").filter((entry) => entry !== "")) {
        const [key = "", heading] = name.split("=");
        const found = column(key);
        if (found === undefined) throw invalidParameter(`ps: error: unknown user-defined format specifier "${key}"`);
        chosen.push(heading === undefined ? found : [heading, found[1]]);
      }
    } else if (word.startsWith("-")) unix += word.slice(1);
    else bsd += word;
  }
  if (chosen.length === 0) return formatOf(unix, bsd);
  if (!chosen.some(([heading]) => heading === "PID")) throw invalidParameter("Couldn't find PID field in ps output");
  return chosen;
}

function formatOf(unix: string, bsd: string): Column[] {
  if (unix.includes("F")) return FORMATS.extraFull;
  if (unix.includes("l")) return unix.includes("f") ? FORMATS.fullLong : FORMATS.long;
  if (unix.includes("f")) return FORMATS.full;
  if (unix.includes("j")) return FORMATS.jobs;
  if (bsd.includes("u")) return FORMATS.bsdUser;
  if (bsd.includes("l")) return FORMATS.bsdLong;
  if (bsd.includes("j")) return FORMATS.bsdJobs;
  return unix === "" ? FORMATS.bsd : FORMATS.plain;
}

/** The processes of a running container, in the columns that the ps arguments ask for. */
export async function topContainer(container: Container, psArgs: string): Promise<TopResponse> {
  const columns = columnsFor(psArgs);
  if (container.task === null || !container.running) throw conflict(`container ${container.id} is not running`);
  if (container.state.status === "restarting") {
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  }
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const bootMs = Date.now() - uptime * 1000;
  const pids = (await container.task.pids()).sort((a, b) => a - b);
  const processes = pids.map((pid) => readProcess(pid, bootMs)).filter((process) => process !== null);
  container.emit("top");
  return {
    Titles: columns.map(([heading]) => heading),
    Processes: processes.map((process) => columns.map(([, value]) => value(process))),
  };
}
