import type { HealthConfig } from "@gantry/spec";
import type { KeyValue } from "./parser.ts";

/** What every instruction carries. */
interface Base {
  /** The instruction as written, trimmed: what `Step n/m : …` shows. */
  code: string;
  /** First and last line in the file, from 1. */
  startLine: number;
  endLine: number;
}

/** A file whose content is in the Dockerfile. */
export interface InlineFile {
  name: string;
  content: string;
  /** Whether variables in the content are replaced. */
  expand: boolean;
}

/** Command line of RUN, CMD and ENTRYPOINT; `shell` where it is text for the SHELL. */
export interface CommandLine {
  args: string[];
  shell: boolean;
  heredocs: { name: string; content: string; chomp: boolean }[];
}

export interface CopySources {
  sources: string[];
  inline: InlineFile[];
  dest: string;
  chown?: string;
  chmod?: string;
  link: boolean;
  exclude: string[];
}

export type From = Base & { kind: "from"; image: string; stageName: string; platform: string };
export type Arg = Base & { kind: "arg"; args: { key: string; value?: string }[] };
export type Env = Base & { kind: "env"; pairs: KeyValue[] };
export type Label = Base & { kind: "label"; pairs: KeyValue[]; literal: boolean };
export type Run = Base & {
  kind: "run";
  command: CommandLine;
  mounts: string[];
  network: "default" | "none" | "host";
  security: "sandbox" | "insecure";
};
export type Cmd = Base & { kind: "cmd"; command: CommandLine };
export type Entrypoint = Base & { kind: "entrypoint"; command: CommandLine };
export type Copy = Base & CopySources & { kind: "copy"; from: string; parents: boolean };
export type Add = Base & CopySources & { kind: "add"; keepGitDir: boolean; checksum: string; unpack?: boolean };
export type Expose = Base & { kind: "expose"; ports: string[] };
export type Volume = Base & { kind: "volume"; paths: string[] };
export type User = Base & { kind: "user"; user: string };
export type Workdir = Base & { kind: "workdir"; path: string };
export type StopSignal = Base & { kind: "stopsignal"; signal: string };
export type Healthcheck = Base & { kind: "healthcheck"; health: HealthConfig };
export type Onbuild = Base & { kind: "onbuild"; expression: string };
export type Shell = Base & { kind: "shell"; shell: string[] };
export type Maintainer = Base & { kind: "maintainer"; maintainer: string };

/** Whatever may stand in a stage. */
export type Command =
  | Arg
  | Env
  | Label
  | Run
  | Cmd
  | Entrypoint
  | Copy
  | Add
  | Expose
  | Volume
  | User
  | Workdir
  | StopSignal
  | Healthcheck
  | Onbuild
  | Shell
  | Maintainer;

export type Instruction = From | Command;

/** A FROM and what follows it. */
export interface Stage {
  from: From;
  /** Lower case; "" where it has none. */
  name: string;
  index: number;
  commands: Command[];
}
