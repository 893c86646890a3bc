import { readFileSync } from "node:fs";
import { conflict, invalidParameter, type TopResponse } from "@gantry/spec";
import type { Container } from "./container.ts";

interface Process {
  pid: number;
  ppid: number;
  uid: number;
  state: string;
  comm: string;
  args: string;
  tty: string;
  threads: number;
  nice: number;
  priority: number;
  rss: number;
  vsz: number;
  utime: number;
  stime: number;
  startMs: number;
  pgid: number;
  sid: number;
}

const TICKS = 100;

function readProcess(pid: number, bootMs: number): Process | null {
  let stat: string;
  let status: string;
  let cmdline: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    status = readFileSync(`/proc/${pid}/status`, "utf8");
    cmdline = readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return null;
  }
  const close = stat.lastIndexOf(")");
  const comm = stat.slice(stat.indexOf("(") + 1, close);
  const fields = stat.slice(close + 2).split(" ");
  const n = (index: number) => Number(fields[index]);
  return {
    pid,
    ppid: n(1),
    pgid: n(2),
    sid: n(3),
    uid: Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? 0),
    state: fields[0] ?? "?",
    comm,
    args: cmdline === "" ? `[${comm}]` : cmdline.replace(/\0+$/, "").replaceAll("\0", " "),
    tty: ttyName(n(4)),
    utime: n(11),
    stime: n(12),
    priority: n(15),
    nice: n(16),
    threads: n(17),
    startMs: bootMs + (n(19) * 1000) / TICKS,
    vsz: Math.floor(n(20) / 1024),
    rss: n(21) * 4,
  };
}

function ttyName(device: number): string {
  if (device === 0) return "?";
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  return major === 136 ? `pts/${minor}` : major === 4 ? `tty${minor}` : "?";
}

let users: Map<number, string> | null = null;

/** A host user's name, as ps on the host would print it. */
function userName(uid: number): string {
  if (users === null) {
    users = new Map();
    try {
      for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
        const [name, , id] = line.split(":");
        if (name && id && !users.has(Number(id))) users.set(Number(id), name);
      }
    } catch {
      // Numbers, then.
    }
  }
  return users.get(uid) ?? String(uid);
}

function clock(ticks: number): string {
  const seconds = Math.floor(ticks / TICKS);
  const pad = (value: number) => String(value).padStart(2, "0");
  return `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
}

function minutes(ticks: number): string {
  const seconds = Math.floor(ticks / TICKS);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function startTime(ms: number): string {
  const date = new Date(ms);
  if (Date.now() - ms < 86_400_000) {
    return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
  }
  return `${["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][date.getMonth()]}${String(date.getDate()).padStart(2, "0")}`;
}

function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor((Date.now() - ms) / 1000));
  const pad = (value: number) => String(value).padStart(2, "0");
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const rest = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return days > 0 ? `${days}-${pad(hours)}:${rest}` : hours > 0 ? `${pad(hours)}:${rest}` : rest;
}

const cpuPercent = (process: Process) => {
  const seconds = (Date.now() - process.startMs) / 1000;
  return seconds <= 0 ? 0 : ((process.utime + process.stime) / TICKS / seconds) * 100;
};

let memory = 0;
const memoryPercent = (process: Process) => {
  memory ||= Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 1);
  return ((process.rss / memory) * 100).toFixed(1);
};

type Column = [title: string, value: (process: Process) => string];

const COLUMNS: Record<string, Column> = {
  pid: ["PID", (p) => String(p.pid)],
  ppid: ["PPID", (p) => String(p.ppid)],
  pgid: ["PGID", (p) => String(p.pgid)],
  sid: ["SID", (p) => String(p.sid)],
  user: ["USER", (p) => userName(p.uid)],
  uid: ["UID", (p) => String(p.uid)],
  comm: ["COMMAND", (p) => p.comm],
  args: ["COMMAND", (p) => p.args],
  time: ["TIME", (p) => clock(p.utime + p.stime)],
  etime: ["ELAPSED", (p) => elapsed(p.startMs)],
  tty: ["TT", (p) => p.tty],
  stat: ["STAT", (p) => p.state],
  nlwp: ["NLWP", (p) => String(p.threads)],
  ni: ["NI", (p) => String(p.nice)],
  pri: ["PRI", (p) => String(p.priority)],
  rss: ["RSS", (p) => String(p.rss)],
  vsz: ["VSZ", (p) => String(p.vsz)],
  pcpu: ["%CPU", (p) => cpuPercent(p).toFixed(1)],
  pmem: ["%MEM", (p) => memoryPercent(p)],
  stime: ["STIME", (p) => startTime(p.startMs)],
};
const ALIASES: Record<string, string> = {
  cmd: "args",
  command: "args",
  ucmd: "comm",
  "%cpu": "pcpu",
  "%mem": "pmem",
  tname: "tty",
  tt: "tty",
  s: "stat",
  state: "stat",
  thcount: "nlwp",
  nice: "ni",
  rssize: "rss",
  vsize: "vsz",
  cputime: "time",
  euser: "user",
  euid: "uid",
  tid: "pid",
  start: "stime",
  start_time: "stime",
  session: "sid",
  sess: "sid",
  pgrp: "pgid",
};

const FULL: Column[] = [
  ["UID", (p) => userName(p.uid)],
  ["PID", (p) => String(p.pid)],
  ["PPID", (p) => String(p.ppid)],
  ["C", (p) => String(Math.floor(cpuPercent(p)))],
  ["STIME", (p) => startTime(p.startMs)],
  ["TTY", (p) => p.tty],
  ["TIME", (p) => clock(p.utime + p.stime)],
  ["CMD", (p) => p.args],
];
const BSD_USER: Column[] = [
  ["USER", (p) => userName(p.uid)],
  ["PID", (p) => String(p.pid)],
  ["%CPU", (p) => cpuPercent(p).toFixed(1)],
  ["%MEM", (p) => memoryPercent(p)],
  ["VSZ", (p) => String(p.vsz)],
  ["RSS", (p) => String(p.rss)],
  ["TTY", (p) => p.tty],
  ["STAT", (p) => p.state],
  ["START", (p) => startTime(p.startMs)],
  ["TIME", (p) => minutes(p.utime + p.stime)],
  ["COMMAND", (p) => p.args],
];
const BSD: Column[] = [
  ["PID", (p) => String(p.pid)],
  ["TTY", (p) => p.tty],
  ["STAT", (p) => p.state],
  ["TIME", (p) => minutes(p.utime + p.stime)],
  ["COMMAND", (p) => p.args],
];
const PLAIN: Column[] = [
  ["PID", (p) => String(p.pid)],
  ["TTY", (p) => p.tty],
  ["TIME", (p) => clock(p.utime + p.stime)],
  ["CMD", (p) => p.comm],
];

/** Which columns ps arguments ask for: -ef, aux, -o a,b and what is like them. */
function columnsFor(text: string): Column[] {
  const words = text.trim() === "" ? ["-ef"] : text.trim().split(/\s+/);
  const chosen: Column[] = [];
  let kind: Column[] | null = null;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const format = /^(?:-?[a-zA-Z]*o|--format=?)(.*)$/.exec(word);
    if (format !== null && !/^-?(aux|ef)/.test(word)) {
      const list = format[1] === "" || format[1] === undefined ? (words[++i] ?? "") : format[1].replace(/^=/, "");
      for (const name of list.split(",").filter((entry) => entry !== "")) {
        const [key = "", title] = name.split("=");
        const column = COLUMNS[key.toLowerCase()] ?? COLUMNS[ALIASES[key.toLowerCase()] ?? ""];
        if (column === undefined) throw invalidParameter(`ps: error: unknown user-defined format specifier "${key}"`);
        chosen.push(title === undefined ? column : [title, column[1]]);
      }
    } else if (word.startsWith("-") && /f/.test(word)) kind = FULL;
    else if (word.startsWith("-")) kind ??= PLAIN;
    else if (/u/.test(word)) kind = BSD_USER;
    else kind ??= BSD;
  }
  if (chosen.length > 0) {
    if (!chosen.some(([title]) => title === "PID")) throw invalidParameter("Couldn't find PID field in ps output");
    return chosen;
  }
  return kind ?? FULL;
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
    Titles: columns.map(([title]) => title),
    Processes: processes.map((process) => columns.map(([, value]) => value(process))),
  };
}
