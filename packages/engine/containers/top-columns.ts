import { readFileSync } from "node:fs";
import { type Process, TICKS, waitChannel } from "./top-process.ts";

/** A column of ps(1): its heading, and what it says of a process. */
export type Column = [heading: string, value: (process: Process) => string];

const names = new Map<string, Map<number, string>>();

/** A user's or group's name on the host, as ps there would print it. */
function nameIn(file: "passwd" | "group", id: number): string {
  let known = names.get(file);
  if (known === undefined) {
    known = new Map();
    names.set(file, known);
    try {
      for (const line of readFileSync(`/etc/${file}`, "utf8").split("\n")) {
        const [name, , number] = line.split(":");
        if (name && number && !known.has(Number(number))) known.set(Number(number), name);
      }
    } catch {
      // Numbers, then.
    }
  }
  return known.get(id) ?? String(id);
}

const pad = (value: number) => String(value).padStart(2, "0");

/** [d-]hh:mm:ss */
function clock(ticks: number): string {
  const seconds = Math.floor(ticks / TICKS);
  const days = Math.floor(seconds / 86400);
  return `${days > 0 ? `${days}-` : ""}${pad(Math.floor(seconds / 3600) % 24)}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
}

/** m:ss */
function minutes(ticks: number): string {
  const seconds = Math.floor(ticks / TICKS);
  return `${Math.floor(seconds / 60)}:${pad(seconds % 60)}`;
}

const DAY = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const hours = (date: Date) => `${pad(date.getHours())}:${pad(date.getMinutes())}`;

function startTime(ms: number): string {
  const date = new Date(ms);
  return Date.now() - ms < DAY ? hours(date) : `${MONTHS[date.getMonth()]}${pad(date.getDate())}`;
}

function startedShort(ms: number): string {
  const date = new Date(ms);
  return Date.now() - ms < DAY
    ? `${hours(date)}:${pad(date.getSeconds())}`
    : `${MONTHS[date.getMonth()]} ${pad(date.getDate())}`;
}

function startedLong(ms: number): string {
  const date = new Date(ms);
  const day = String(date.getDate()).padStart(2);
  return `${WEEKDAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${day} ${hours(date)}:${pad(date.getSeconds())} ${date.getFullYear()}`;
}

const age = (process: Process) => Math.max(0, Math.floor((Date.now() - process.startMs) / 1000));

function elapsed(seconds: number): string {
  const days = Math.floor(seconds / 86400);
  const hour = Math.floor(seconds / 3600) % 24;
  const rest = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return days > 0 ? `${days}-${pad(hour)}:${rest}` : hour > 0 ? `${pad(hour)}:${rest}` : rest;
}

function cpuPercent(process: Process): number {
  const seconds = (Date.now() - process.startMs) / 1000;
  return seconds <= 0 ? 0 : (process.ticks / TICKS / seconds) * 100;
}

let memory = 0;
function memoryPercent(process: Process): string {
  memory ||= Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 1);
  return ((process.rss / memory) * 100).toFixed(1);
}

/** The state with ps's flags: its nice value, locked pages, a session's leader, threads, the foreground. */
function stateFlags(process: Process): string {
  return [
    process.state,
    process.nice < 0 ? "<" : process.nice > 0 ? "N" : "",
    process.locked ? "L" : "",
    process.sid === process.pid ? "s" : "",
    process.threads > 1 ? "l" : "",
    process.tpgid === process.pgid ? "+" : "",
  ].join("");
}

const CLASSES = ["TS", "FF", "RR", "B", "ISO", "IDL", "DLN", "EXT"];
const schedulingClass = (process: Process) => CLASSES[process.policy] ?? "?";
const user = (id: number) => nameIn("passwd", id);
const group = (id: number) => nameIn("group", id);

/** The columns of `ps -o`, by keyword. */
const COLUMNS: Record<string, Column> = {
  "%cpu": ["%CPU", (p) => cpuPercent(p).toFixed(1)],
  "%mem": ["%MEM", memoryPercent],
  addr: ["ADDR", () => "-"],
  args: ["COMMAND", (p) => p.args],
  bsdstart: ["START", (p) => startTime(p.startMs)],
  bsdtime: ["TIME", (p) => minutes(p.ticks)],
  c: ["C", (p) => String(Math.floor(cpuPercent(p)))],
  cls: ["CLS", schedulingClass],
  cmd: ["CMD", (p) => p.args],
  comm: ["COMMAND", (p) => p.comm],
  cp: ["CP", (p) => String(Math.floor(cpuPercent(p) * 10))],
  cputimes: ["TIME", (p) => String(Math.floor(p.ticks / TICKS))],
  egid: ["EGID", (p) => String(p.gids[1])],
  egroup: ["EGROUP", (p) => group(p.gids[1])],
  etime: ["ELAPSED", (p) => elapsed(age(p))],
  etimes: ["ELAPSED", (p) => String(age(p))],
  euid: ["EUID", (p) => String(p.uids[1])],
  euser: ["EUSER", (p) => user(p.uids[1])],
  // Forked without exec, and superuser rights used, are all that ps shows.
  f: ["F", (p) => ((p.flags >> 6) & 7).toString(8)],
  fname: ["COMMAND", (p) => p.comm.slice(0, 8)],
  gid: ["GID", (p) => String(p.gids[1])],
  group: ["GROUP", (p) => group(p.gids[1])],
  lstart: ["STARTED", (p) => startedLong(p.startMs)],
  lwp: ["LWP", (p) => String(p.pid)],
  maj_flt: ["MAJFL", (p) => String(p.majorFaults)],
  min_flt: ["MINFL", (p) => String(p.minorFaults)],
  ni: ["NI", (p) => (p.policy === 0 || p.policy === 3 ? String(p.nice) : "-")],
  nlwp: ["NLWP", (p) => String(p.threads)],
  opri: ["PRI", (p) => String(p.priority + 60)],
  pgid: ["PGID", (p) => String(p.pgid)],
  pgrp: ["PGRP", (p) => String(p.pgid)],
  pid: ["PID", (p) => String(p.pid)],
  ppid: ["PPID", (p) => String(p.ppid)],
  pri: ["PRI", (p) => String(39 - p.priority)],
  priority: ["PRI", (p) => String(p.priority)],
  psr: ["PSR", (p) => String(p.processor)],
  rgid: ["RGID", (p) => String(p.gids[0])],
  rgroup: ["RGROUP", (p) => group(p.gids[0])],
  rss: ["RSS", (p) => String(p.rss)],
  rtprio: ["RTPRIO", (p) => (p.realtime > 0 ? String(p.realtime) : "-")],
  ruid: ["RUID", (p) => String(p.uids[0])],
  ruser: ["RUSER", (p) => user(p.uids[0])],
  s: ["S", (p) => p.state],
  sched: ["SCH", (p) => String(p.policy)],
  sess: ["SESS", (p) => String(p.sid)],
  sgid: ["SGID", (p) => String(p.gids[2])],
  sid: ["SID", (p) => String(p.sid)],
  start: ["STARTED", (p) => startedShort(p.startMs)],
  start_time: ["START", (p) => startTime(p.startMs)],
  stat: ["STAT", stateFlags],
  stime: ["STIME", (p) => startTime(p.startMs)],
  suid: ["SUID", (p) => String(p.uids[2])],
  suser: ["SUSER", (p) => user(p.uids[2])],
  sz: ["SZ", (p) => String(Math.floor(p.vsz / 4))],
  tgid: ["TGID", (p) => String(p.pid)],
  thcount: ["THCNT", (p) => String(p.threads)],
  tid: ["TID", (p) => String(p.pid)],
  time: ["TIME", (p) => clock(p.ticks)],
  tname: ["TTY", (p) => p.tty],
  tpgid: ["TPGID", (p) => String(p.tpgid)],
  tty: ["TT", (p) => p.tty],
  ucmd: ["CMD", (p) => p.comm],
  uid: ["UID", (p) => String(p.uids[1])],
  user: ["USER", (p) => user(p.uids[1])],
  vsz: ["VSZ", (p) => String(p.vsz)],
  wchan: ["WCHAN", (p) => waitChannel(p.pid)],
};

const SAME: Record<string, string> = {
  class: "cls",
  command: "args",
  cputime: "time",
  cpuid: "psr",
  flag: "f",
  flags: "f",
  intpri: "opri",
  longtname: "tname",
  majflt: "maj_flt",
  minflt: "min_flt",
  nice: "ni",
  pcpu: "%cpu",
  pmem: "%mem",
  policy: "cls",
  rssize: "rss",
  rsz: "rss",
  session: "sess",
  spid: "lwp",
  state: "s",
  svgid: "sgid",
  svuid: "suid",
  times: "cputimes",
  tt: "tty",
  tty8: "tname",
  ucomm: "comm",
  uname: "user",
  vsize: "vsz",
};

/** The column of a keyword; undefined for unknown ones. */
export function column(keyword: string): Column | undefined {
  const name = keyword.toLowerCase();
  return Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : COLUMNS[SAME[name] ?? ""];
}

const list = (...keywords: string[]) => keywords.map((keyword) => column(keyword) as Column);
const UID_NAME: Column = ["UID", (p) => user(p.uids[1])];
const START: Column = ["START", (p) => startTime(p.startMs)];

/** The formats of ps: -f, -F, -l, -ly, -fl, -j and none; BSD's u, l, j and none. */
export const FORMATS = {
  full: [UID_NAME, ...list("pid", "ppid", "c", "stime", "tname", "time", "cmd")],
  extraFull: [UID_NAME, ...list("pid", "ppid", "c", "sz", "rss", "psr", "stime", "tname", "time", "cmd")],
  long: list("f", "s", "uid", "pid", "ppid", "c", "opri", "ni", "addr", "sz", "wchan", "tname", "time", "ucmd"),
  fullLong: [
    ...list("f", "s"),
    UID_NAME,
    ...list("pid", "ppid", "c", "opri", "ni", "addr", "sz", "wchan", "stime", "tname", "time", "cmd"),
  ],
  jobs: list("pid", "pgid", "sid", "tname", "time", "ucmd"),
  plain: list("pid", "tname", "time", "ucmd"),
  bsdUser: [...list("user", "pid", "%cpu", "%mem", "vsz", "rss", "tname", "stat"), START, ...list("bsdtime", "args")],
  bsdLong: list("f", "uid", "pid", "ppid", "priority", "ni", "vsz", "rss", "wchan", "stat", "tname", "bsdtime", "args"),
  bsdJobs: list("ppid", "pid", "pgid", "sid", "tname", "tpgid", "stat", "uid", "bsdtime", "args"),
  bsd: list("pid", "tname", "stat", "bsdtime", "args"),
} satisfies Record<string, Column[]>;
