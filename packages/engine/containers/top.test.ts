import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { columnsFor } from "./top.ts";
import { readProcess } from "./top-process.ts";

const headings = (args: string) =>
  columnsFor(args)
    .map(([heading]) => heading)
    .join(" ");

test("ps's formats have ps's headings", () => {
  for (const [args, expected] of [
    ["", "UID PID PPID C STIME TTY TIME CMD"],
    ["-F", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD"],
    ["-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"],
    ["-fl", "F S UID PID PPID C PRI NI ADDR SZ WCHAN STIME TTY TIME CMD"],
    ["-j", "PID PGID SID TTY TIME CMD"],
    ["-e", "PID TTY TIME CMD"],
    ["aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"],
    ["l", "F UID PID PPID PRI NI VSZ RSS WCHAN STAT TTY TIME COMMAND"],
    ["ax", "PID TTY STAT TIME COMMAND"],
    ["-o pid,cls,ruser,group,rtprio,psr,wchan,lstart,etimes", "PID CLS RUSER GROUP RTPRIO PSR WCHAN STARTED ELAPSED"],
    ["-eo pid,comm=NAME,tty,state", "PID NAME TT S"],
  ] as const) {
    expect([args, headings(args)]).toEqual([args, expected]);
  }
  expect(() => columnsFor("-o pid,constructor")).toThrow('unknown user-defined format specifier "constructor"');
  expect(() => columnsFor("-o comm")).toThrow("Couldn't find PID field in ps output");
});

test("values agree with ps's own", async () => {
  const ps = Bun.which("ps");
  if (ps === null) return;
  const child = Bun.spawn(["setsid", "nice", "-n", "3", "sleep", "60"]);
  try {
    await Bun.sleep(100);
    const keywords = [
      "pid",
      "ppid",
      "pgid",
      "sid",
      "stat",
      "s",
      "ni",
      "pri",
      "opri",
      "cls",
      "rtprio",
      "user",
      "ruser",
      "group",
      "uid",
      "gid",
      "tty",
      "nlwp",
      "sz",
      "vsz",
      "f",
      "comm",
      "args",
    ];
    const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    const process = readProcess(child.pid, Date.now() - uptime * 1000);
    if (process === null) throw new Error("it is gone");
    for (const keyword of keywords) {
      const theirs = Bun.spawnSync([ps, "-o", `${keyword}=`, "-p", String(child.pid)])
        .stdout.toString()
        .trim();
      const ours = columnsFor(`-o pid,${keyword}`)[1]?.[1](process);
      expect([keyword, ours]).toEqual([keyword, theirs]);
    }
  } finally {
    child.kill(9);
  }
});
