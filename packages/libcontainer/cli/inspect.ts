import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { conflict, invalidParameter } from "@gantry/spec";
import { ALL_CAPABILITIES } from "../capabilities/index.ts";
import type { CgroupStats } from "../contract.ts";
import { CloneFlag } from "../plan/namespaces.ts";
import { MOUNT_OPTION_NAMES } from "../plan/options.ts";
import { last, parseArguments } from "./arguments.ts";
import type { Context } from "./context.ts";
import { defaultSpec } from "./default-spec.ts";

export async function state(context: Context, words: string[]): Promise<number> {
  const { store, cgroups } = context;
  const container = store.load(parseArguments(words, {}).rest[0]);
  const { bundle, created, spec } = container;
  const plain = store.state(container, store.status(container, cgroups));
  context.print(JSON.stringify({ ...plain, rootfs: resolve(bundle, spec.root!.path), created, owner: "" }, null, 2));
  return 0;
}

export async function list(context: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, { switches: ["quiet"], values: ["format"], short: { q: "quiet", f: "format" } });
  const { store, cgroups } = context;
  const rows = store.ids().map((id) => {
    const container = store.load(id);
    const { pid, status } = store.state(container, store.status(container, cgroups));
    return { id, pid, status, bundle: container.bundle, created: container.created, owner: "root" };
  });
  if (args.switches.has("quiet")) for (const row of rows) context.print(row.id);
  else if (last(args, "format") === "json") context.print(JSON.stringify(rows));
  else {
    const table = [
      ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
      ...rows.map((row) => [row.id, String(row.pid), row.status, row.bundle, row.created, row.owner]),
    ];
    const widths = table[0]!.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
    for (const line of table)
      context.print(
        line
          .map((cell, column) => cell.padEnd(widths[column]! + 3))
          .join("")
          .trimEnd(),
      );
  }
  return 0;
}

export async function ps(context: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, { values: ["format"], short: { f: "format" } }, true);
  const container = context.store.load(args.rest[0]);
  const pids = context.cgroups.pids(container.cgroup);
  if (last(args, "format") === "json") {
    context.print(JSON.stringify(pids));
    return 0;
  }
  const options = args.rest.slice(1);
  const table = Bun.spawnSync({ cmd: ["ps", ...(options.length ? options : ["-ef"])] })
    .stdout.toString()
    .split("\n");
  const column = table[0]!.trim().split(/\s+/).indexOf("PID");
  if (column < 0) throw invalidParameter("couldn't find PID field in ps output");
  const own = new Set(pids.map(String));
  const rows = table.slice(1).filter((line) => own.has(line.trim().split(/\s+/)[column]!));
  for (const line of [table[0]!, ...rows]) context.print(line);
  return 0;
}

/** runc's shape of `events --stats`, which containerd's and cri-o's tools read. */
function statsData(stats: CgroupStats) {
  const { cpu, memory, pids, blkio } = stats;
  const entries = (list: CgroupStats["blkio"]["serviced"]) =>
    list.map(({ major, minor, op, value }) => ({ major, minor, op, value }));
  return {
    cpu: {
      usage: { total: cpu.usageNs, percpu: cpu.perCpuNs, kernel: cpu.systemNs, user: cpu.userNs },
      throttling: { periods: cpu.periods, throttledPeriods: cpu.throttledPeriods, throttledTime: cpu.throttledNs },
    },
    memory: {
      usage: { limit: memory.limit, usage: memory.usage, max: memory.maxUsage, failcnt: memory.failcnt },
      raw: memory.stats,
    },
    pids: { current: pids.current, limit: pids.limit },
    blkio: { ioServiceBytesRecursive: entries(blkio.serviceBytes), ioServicedRecursive: entries(blkio.serviced) },
  };
}

export async function events(context: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, { switches: ["stats"], values: ["interval"] });
  const { store, cgroups } = context;
  const container = store.load(args.rest[0]);
  const interval = Number.parseFloat(last(args, "interval") ?? "5") || 5;
  if (store.status(container, cgroups) === "stopped")
    throw conflict(`container with id ${container.id} is not running`);
  for (;;) {
    const data = statsData(cgroups.stats(container.cgroup));
    context.print(JSON.stringify({ type: "stats", id: container.id, data }));
    if (args.switches.has("stats")) return 0;
    await Bun.sleep(interval * 1000);
    if (store.status(container, cgroups) === "stopped") return 0;
  }
}

export async function spec(_: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, { switches: ["rootless"], values: ["bundle"], short: { b: "bundle" } });
  const file = resolve(last(args, "bundle") ?? ".", "config.json");
  if (existsSync(file)) throw conflict(`File ${file} exists. Remove it first`);
  writeFileSync(file, `${JSON.stringify(defaultSpec(), null, "\t")}\n`);
  return 0;
}

/** features.md: what a caller may ask of this runtime. */
export async function features(context: Context): Promise<number> {
  context.print(
    JSON.stringify(
      {
        ociVersionMin: "1.0.0",
        ociVersionMax: "1.2.1",
        hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        mountOptions: MOUNT_OPTION_NAMES,
        linux: {
          namespaces: Object.keys(CloneFlag).sort(),
          capabilities: [...ALL_CAPABILITIES],
          cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: false },
          seccomp: {
            enabled: true,
            actions: [
              "SCMP_ACT_ALLOW",
              "SCMP_ACT_ERRNO",
              "SCMP_ACT_KILL",
              "SCMP_ACT_KILL_PROCESS",
              "SCMP_ACT_KILL_THREAD",
              "SCMP_ACT_LOG",
              "SCMP_ACT_NOTIFY",
              "SCMP_ACT_TRACE",
              "SCMP_ACT_TRAP",
            ],
            operators: ["EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE"].map((name) => `SCMP_CMP_${name}`),
            archs: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
          },
          apparmor: { enabled: true },
          selinux: { enabled: true },
          intelRdt: { enabled: false },
          mountExtensions: { idmap: { enabled: true } },
        },
      },
      null,
      2,
    ),
  );
  return 0;
}
