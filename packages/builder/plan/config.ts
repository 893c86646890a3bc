import { type ImageRunConfig, invalidParameter } from "@gantry/spec";
import type { Command } from "../dockerfile/instructions.ts";
import { cleanPath } from "../ignore/clean.ts";
import { healthText, plainList, quoteList } from "./go-format.ts";
import { exposedPorts } from "./ports.ts";
import { checkSignal } from "./signal.ts";

/** What instructions change of an image's configuration. */
export interface ConfigState {
  config: ImageRunConfig;
  author: string;
  /** Whether this stage had a CMD: an ENTRYPOINT then keeps it. */
  cmdSet: boolean;
}

export const DEFAULT_SHELL = ["/bin/sh", "-c"];
const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The configuration a stage begins with: the base's, ONBUILD taken out, PATH set. Returns it with the triggers. */
export function beginConfig(base: ImageRunConfig): { config: ImageRunConfig; triggers: string[] } {
  const config = { ...base };
  const triggers = config.OnBuild ?? [];
  delete config.OnBuild;
  config.Env = [...(config.Env ?? [])];
  if (!config.Env.some((pair) => pair.startsWith("PATH="))) config.Env.push(DEFAULT_PATH);
  return { config, triggers };
}

export function shellOf(config: ImageRunConfig): string[] {
  return config.Shell?.length ? config.Shell : DEFAULT_SHELL;
}

/** `created_by` of an instruction that changes no files, as the classic builder writes it (two blanks). */
export function nop(config: ImageRunConfig, comment: string): string {
  return [...shellOf(config), "#(nop) ", comment].join(" ");
}

/** The same for WORKDIR, COPY and ADD (one blank). */
export function nopFiles(config: ImageRunConfig, comment: string): string {
  return [...shellOf(config), `#(nop) ${comment}`].join(" ");
}

/** Replaces variables in a word; `words` splits the result. */
export interface Expander {
  word(text: string): string;
  words(text: string): string[];
}

/** Commands that change nothing but the configuration. */
export type ConfigCommand = Exclude<Command, { kind: "arg" | "run" | "copy" | "add" | "workdir" }>;

/** Applies one command to the state: sets fields of its config, never changing what was in them. Returns the history's comment, and notes. */
export function applyConfig(
  command: ConfigCommand,
  state: ConfigState,
  expand: Expander,
): { comment: string; notes: string[] } {
  const { config } = state;
  const done = (comment: string, ...notes: string[]) => ({ comment, notes });
  switch (command.kind) {
    case "env": {
      const pairs = command.pairs.map(({ key, value }) => [expand.word(key), expand.word(value)] as const);
      config.Env = [...(config.Env ?? [])];
      for (const [key, value] of pairs) setEnv(config.Env, key, value);
      return done(`ENV ${joinPairs(pairs)}`);
    }
    case "label": {
      const pairs = command.pairs.map(({ key, value }) =>
        command.literal ? ([key, value] as const) : ([expand.word(key), expand.word(value)] as const),
      );
      config.Labels = { ...config.Labels, ...Object.fromEntries(pairs) };
      return done(`LABEL ${joinPairs(pairs)}`);
    }
    case "cmd":
      config.Cmd = commandLine(command.command, config);
      if (command.command.args.length > 0) state.cmdSet = true;
      return done(`CMD ${quoteList(config.Cmd)}`);
    case "entrypoint": {
      const entrypoint = commandLine(command.command, config);
      config.Entrypoint = entrypoint.length > 0 ? entrypoint : null;
      if (!state.cmdSet) config.Cmd = null;
      return done(`ENTRYPOINT ${quoteList(entrypoint)}`);
    }
    case "expose": {
      const words = command.ports.flatMap((port) => expand.words(port));
      const ports: Record<string, object> = { ...config.ExposedPorts };
      for (const port of exposedPorts(words)) ports[port] = {};
      config.ExposedPorts = ports;
      return done(`EXPOSE ${words.join(" ")}`);
    }
    case "volume": {
      const volumes: Record<string, object> = { ...config.Volumes };
      const paths = command.paths.map((path) => expand.word(path));
      for (const path of paths) {
        if (path === "") throw invalidParameter("VOLUME specified can not be an empty string");
        volumes[path] = {};
      }
      config.Volumes = volumes;
      return done(`VOLUME ${plainList(paths)}`);
    }
    case "user":
      config.User = expand.word(command.user);
      return done(`USER ${config.User}`);
    case "stopsignal": {
      const signal = expand.word(command.signal);
      checkSignal(signal);
      config.StopSignal = signal;
      return done(`STOPSIGNAL ${signal}`);
    }
    case "healthcheck": {
      const before = config.Healthcheck;
      const notes =
        before?.Test?.length && before.Test[0] !== "NONE"
          ? [`Note: overriding previous HEALTHCHECK: ${plainList(before.Test)}`]
          : [];
      // As Docker merges a container's configuration over its image's: what is not given is inherited.
      config.Healthcheck = { ...before, ...command.health };
      return done(`HEALTHCHECK ${healthText(command.health)}`, ...notes);
    }
    case "onbuild":
      config.OnBuild = [...(config.OnBuild ?? []), command.expression];
      return done(`ONBUILD ${command.expression}`);
    case "shell":
      config.Shell = command.shell;
      return done(`SHELL ${plainList(command.shell)}`);
    case "maintainer":
      state.author = command.maintainer;
      return done(`MAINTAINER ${command.maintainer}`);
  }
}

/** WORKDIR's path: relative ones go on from the present one. */
export function resolveWorkdir(config: ImageRunConfig, path: string): string {
  if (path === "") throw invalidParameter("cannot normalize nothing");
  return cleanPath(path.startsWith("/") ? path : `/${config.WorkingDir ?? ""}/${path}`);
}

/** COPY's destination made absolute; a final "/" or "/." says that it is a directory. */
export function resolveDest(config: ImageRunConfig, dest: string): string {
  const directory = /(^|\/)\.?$/.test(dest);
  const clean = cleanPath(dest.startsWith("/") ? dest : `/${config.WorkingDir ?? ""}/${dest}`);
  return directory && clean !== "/" ? `${clean}/` : clean;
}

function setEnv(env: string[], key: string, value: string): void {
  const at = env.findIndex((pair) => pair === key || pair.startsWith(`${key}=`));
  if (at < 0) env.push(`${key}=${value}`);
  else env[at] = `${key}=${value}`;
}

function joinPairs(pairs: (readonly [string, string])[]): string {
  return pairs.map(([key, value]) => `${key}=${value}`).join(" ");
}

function commandLine(command: { args: string[]; shell: boolean }, config: ImageRunConfig): string[] {
  return command.shell ? [...shellOf(config), ...command.args] : [...command.args];
}
