import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { topRequest } from "./top-arguments.ts";
import { readProcess } from "./top-process.ts";

const headings = (args: string) =>
  topRequest(args)
    .columns.map(([heading]) => heading)
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
    ["-aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"],
    ["-x", "PID TTY STAT TIME COMMAND"],
    ["aux --sort=-pid", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"],
    ["-ly", "S UID PID PPID C PRI NI RSS SZ WCHAN TTY TIME CMD"],
    ["-c", "PID CLS PRI TTY TIME CMD"],
    ["-LP", "PID PSR LWP TTY TIME CMD"],
    ["-T", "PID SPID TTY TIME CMD"],
    ["-M", "LABEL PID TTY TIME CMD"],
    ["-w -w --columns 80 --forest", "PID TTY TIME CMD"],
    ["-O comm", "PID COMMAND S TTY TIME COMMAND"],
    ["t", "PID TTY STAT TIME COMMAND"],
    ["-opid -ocomm", "PID COMMAND"],
    ["axo pid,comm", "PID COMMAND"],
    ["-axo pid,comm", "PID COMMAND"],
    ["--format=pid,comm", "PID COMMAND"],
    ["-o pid,cls,ruser,group,rtprio,psr,wchan,lstart,etimes", "PID CLS RUSER GROUP RTPRIO PSR WCHAN STARTED ELAPSED"],
    ["-eo pid,comm=NAME,tty,state", "PID NAME TT S"],
  ] as const) {
    expect([args, headings(args)]).toEqual([args, expected]);
  }
  expect(() => topRequest("-o pid,constructor")).toThrow('unknown user-defined format specifier "constructor"');
  expect(() => topRequest("-o comm")).toThrow("Couldn't find PID field in ps output");
});

test("what ps refuses is refused in its words", () => {
  for (const [args, words] of [
    ["-zz", "ps: error: unsupported SysV option"],
    ["-fz", "ps: error: unsupported SysV option"],
    ["auxz", "ps: error: unsupported option (BSD syntax)"],
    ["x y", "ps: error: unsupported option (BSD syntax)"],
    ["--foo", "ps: error: unknown gnu long option"],
    ["--forest=1", "ps: error: option --forest does not take an argument"],
    ["--cols", "ps: error: number of columns must follow --cols, --width, or --columns"],
    ["--sort", "ps: error: long sort specification must follow --sort"],
    ["-p", "ps: error: list of process IDs must follow -p"],
    ["-eo", "ps: error: format specification must follow -o"],
    ["-q x", "ps: error: process ID list syntax error"],
    ["-", "ps: error: garbage option"],
    ["-y", "ps: error: modifier -y without format -l makes no sense"],
    ["-O nosuch", 'ps: error: unknown user-defined format specifier "nosuch"'],
    ["h", "Couldn't find PID field in ps output"],
    ["--version", "Couldn't find PID field in ps output"],
    ["L", "Couldn't find PID field in ps output"],
  ] as const) {
    expect(() => topRequest(args)).toThrow(new Error(words));
  }
});

test("processes are chosen by ID and name, as far as a container has them", () => {
  expect(topRequest("-f")).toMatchObject({ pids: null, commands: null });
  for (const args of ["-p 1,22", "p1,22", "1 22", "--pid 1 -q22"]) {
    expect([...(topRequest(args).pids ?? [])]).toEqual([1, 22]);
  }
  expect([...(topRequest("-fC sh,sleep").commands ?? [])]).toEqual(["sh", "sleep"]);
});

test("values agree with ps's own", async () => {
  const ps = Bun.which("ps");
  if (ps === null) return;
  const child = Bun.spawn(["setsid", "nice", "-n", "3", "sleep", "60"]);
  try {
    const asleep = () => readFileSync(`/proc/${child.pid}/stat`, "utf8").includes("(sleep) S ");
    while (!asleep()) await Bun.sleep(5);
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
      const ours = topRequest(`-o pid,${keyword}`).columns[1]?.[1](process);
      expect([keyword, ours]).toEqual([keyword, theirs]);
    }
  } finally {
    child.kill(9);
  }
});
