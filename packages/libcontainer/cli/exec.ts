import { readFileSync, writeFileSync } from "node:fs";
import { conflict, invalidParameter, type OciProcess } from "@gantry/spec";
import { compileOciExec } from "../plan/compile.ts";
import { type Arguments, last, parseArguments } from "./arguments.ts";
import type { Context } from "./context.ts";
import { runOneShot } from "./shim.ts";

const FLAGS = {
  switches: ["tty", "detach", "no-new-privs", "ignore-paused"],
  values: [
    ..."console-socket cwd env user additional-gids process pid-file process-label apparmor cap preserve-fds cgroup".split(
      " ",
    ),
  ],
  short: { t: "tty", d: "detach", e: "env", u: "user", g: "additional-gids", p: "process", c: "cap" },
};

function parseUser(text: string): { uid: number; gid: number } {
  const match = /^(\d+)(?::(\d+))?$/.exec(text);
  if (!match) throw invalidParameter(`parsing ${JSON.stringify(text)} as int for uid failed`);
  return { uid: Number(match[1]), gid: Number(match[2] ?? 0) };
}

function processOf(args: Arguments, base: OciProcess): OciProcess {
  const file = last(args, "process");
  if (file) return JSON.parse(readFileSync(file, "utf8")) as OciProcess;
  const command = args.rest.slice(1);
  if (command.length === 0) throw invalidParameter("process args cannot be empty");
  const caps = args.values.get("cap");
  const user = last(args, "user");
  const gids = args.values.get("additional-gids")?.map(Number);
  const given = base.capabilities;
  const add = (set: string[] | undefined) => [...new Set([...(set ?? []), ...(caps ?? [])])];
  return {
    ...base,
    args: command,
    terminal: args.switches.has("tty"),
    cwd: last(args, "cwd") ?? base.cwd,
    env: [...(base.env ?? []), ...(args.values.get("env") ?? [])],
    user: { ...base.user, ...(user ? parseUser(user) : {}), ...(gids ? { additionalGids: gids } : {}) },
    noNewPrivileges: args.switches.has("no-new-privs") || base.noNewPrivileges,
    apparmorProfile: last(args, "apparmor") ?? base.apparmorProfile,
    selinuxLabel: last(args, "process-label") ?? base.selinuxLabel,
    capabilities:
      caps && given
        ? {
            ...given,
            bounding: add(given.bounding),
            effective: add(given.effective),
            permitted: add(given.permitted),
          }
        : given,
  };
}

/** Runs a process in a running container. The exit code is the process's own, unless detached. */
export async function exec(context: Context, words: string[]): Promise<number> {
  const { store, cgroups, shimPath } = context;
  const args = parseArguments(words, FLAGS, true);
  const container = store.load(args.rest[0]);
  const status = store.status(container, cgroups);
  if (status === "stopped") throw conflict("cannot exec in a stopped container");
  if (status === "paused" && !args.switches.has("ignore-paused")) throw conflict("cannot exec in a paused container");
  const base = container.spec.process ?? { cwd: "/", user: { uid: 0, gid: 0 } };
  const process = processOf(args, base);
  const detach = args.switches.has("detach");
  const preserveFds = Number(last(args, "preserve-fds") ?? 0);
  const cgroup = cgroups.exists(container.cgroup) ? cgroups.find(container.cgroup) : null;
  const plan = compileOciExec(process, container.spec, cgroup, container.id, {
    preserveFds,
    fifo: "",
    consoleSocket: last(args, "console-socket") ?? "",
    execPid: container.pid,
    detach,
  });
  const shot = runOneShot(shimPath, plan, preserveFds);
  const pidFile = last(args, "pid-file");
  if (pidFile) writeFileSync(pidFile, String(shot.pid));
  return detach ? 0 : shot.exited;
}
