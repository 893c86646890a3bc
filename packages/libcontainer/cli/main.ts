#!/usr/bin/env bun
import { appendFileSync } from "node:fs";
import { invalidParameter, messageOf } from "@gantry/spec";
import { openCgroups } from "../cgroups/index.ts";
import { shimBinary } from "../shim/binary.ts";
import { last, parseArguments } from "./arguments.ts";
import type { Context } from "./context.ts";
import { Store } from "./store.ts";

type Command = (context: Context, words: string[]) => Promise<number>;

const COMMANDS: Record<string, () => Promise<Command>> = {
  create: async () => (await import("./lifecycle.ts")).create,
  start: async () => (await import("./lifecycle.ts")).start,
  run: async () => (await import("./lifecycle.ts")).run,
  kill: async () => (await import("./lifecycle.ts")).kill,
  delete: async () => (await import("./lifecycle.ts")).remove,
  exec: async () => (await import("./exec.ts")).exec,
  state: async () => (await import("./inspect.ts")).state,
  list: async () => (await import("./inspect.ts")).list,
  ps: async () => (await import("./inspect.ts")).ps,
  events: async () => (await import("./inspect.ts")).events,
  spec: async () => (await import("./inspect.ts")).spec,
  features: async () => (await import("./inspect.ts")).features,
  pause: async () => (await import("./resources.ts")).pause,
  resume: async () => (await import("./resources.ts")).resume,
  update: async () => (await import("./resources.ts")).update,
};

const USAGE = `gantry-runtime: a runtime by the OCI runtime specification

usage: gantry-runtime [--root DIR] [--log FILE] [--log-format text|json] [--debug] COMMAND ...

commands: ${Object.keys(COMMANDS).join(", ")}`;

/** Runs one command line; the exit code. `shimPath` is the shim's executable. */
export async function runtimeMain(words: string[], shimPath: string): Promise<number> {
  const print = (text: string) => console.log(text);
  let log: string | undefined;
  let json = false;
  const report = (level: string, error: unknown) => {
    const message = messageOf(error);
    process.stderr.write(`${level === "error" ? "" : `${level}: `}${message}\n`);
    const time = new Date().toISOString();
    if (log)
      appendFileSync(
        log,
        json
          ? `${JSON.stringify({ level, msg: message, time })}\n`
          : `time=${JSON.stringify(time)} level=${level} msg=${JSON.stringify(message)}\n`,
      );
  };
  try {
    const args = parseArguments(
      words,
      {
        switches: ["debug", "systemd-cgroup", "help", "version"],
        values: ["root", "log", "log-format", "rootless", "criu"],
        short: { h: "help", v: "version" },
      },
      true,
    );
    log = last(args, "log");
    json = last(args, "log-format") === "json";
    const [name, ...rest] = args.rest;
    if (args.switches.has("version")) {
      print("gantry-runtime version 0.1.0\nspec: 1.2.1");
      return 0;
    }
    if (!name || name === "help" || args.switches.has("help")) {
      print(USAGE);
      return 0;
    }
    const command = COMMANDS[name];
    if (!command) throw invalidParameter(`No help topic for '${name}'`);
    const store = new Store(last(args, "root") ?? "/run/gantry-runtime");
    const context: Context = {
      store,
      cgroups: openCgroups(),
      shimPath,
      print,
      warn: (error) => report("warning", error),
    };
    return await (await command())(context, rest);
  } catch (error) {
    report("error", error);
    return 1;
  }
}

if (import.meta.main) {
  const shimPath = process.env.GANTRY_SHIM ?? shimBinary;
  process.exit(await runtimeMain(process.argv.slice(2), shimPath));
}
