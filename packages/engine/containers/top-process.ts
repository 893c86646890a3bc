import { readFileSync } from "node:fs";

/** What /proc says of a process; sizes in KiB, times in clock ticks. */
export interface Process {
  pid: number;
  ppid: number;
  pgid: number;
  sid: number;
  tpgid: number;
  /** Real, effective, saved. */
  uids: [number, number, number];
  gids: [number, number, number];
  /** R, S, D, … */
  state: string;
  comm: string;
  args: string;
  tty: string;
  flags: number;
  threads: number;
  nice: number;
  priority: number;
  realtime: number;
  policy: number;
  processor: number;
  minorFaults: number;
  majorFaults: number;
  locked: boolean;
  rss: number;
  vsz: number;
  ticks: number;
  startMs: number;
}

/** Clock ticks a second, on every kernel that people run. */
export const TICKS = 100;

/** Reads one; null where it is gone. */
export function readProcess(pid: number, bootMs: number): Process | null {
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
  const ids = (name: string) => {
    const [, real, effective, saved] = new RegExp(`^${name}:\\s+(\\d+)\\s+(\\d+)\\s+(\\d+)`, "m").exec(status) ?? [];
    return [Number(real ?? 0), Number(effective ?? 0), Number(saved ?? 0)] as [number, number, number];
  };
  return {
    pid,
    ppid: n(1),
    pgid: n(2),
    sid: n(3),
    tty: ttyName(n(4)),
    tpgid: n(5),
    flags: n(6),
    minorFaults: n(7),
    majorFaults: n(9),
    ticks: n(11) + n(12),
    priority: n(15),
    nice: n(16),
    threads: n(17),
    startMs: bootMs + (n(19) * 1000) / TICKS,
    vsz: Math.floor(n(20) / 1024),
    rss: n(21) * 4,
    processor: n(36),
    realtime: n(37),
    policy: n(38),
    uids: ids("Uid"),
    gids: ids("Gid"),
    locked: /^VmLck:\s+[1-9]/m.test(status),
    state: fields[0] ?? "?",
    comm,
    args: cmdline === "" ? `[${comm}]` : cmdline.replace(/\0+$/, "").replaceAll("\0", " "),
  };
}

function ttyName(device: number): string {
  if (device === 0) return "?";
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  return major === 136 ? `pts/${minor}` : major === 4 ? `tty${minor}` : "?";
}

/** The kernel function that a process sleeps in, as far as ps shows it; "-" for none. */
export function waitChannel(pid: number): string {
  try {
    const name = readFileSync(`/proc/${pid}/wchan`, "utf8").trim();
    return name === "" || name === "0" ? "-" : name.slice(0, 6);
  } catch {
    return "-";
  }
}
