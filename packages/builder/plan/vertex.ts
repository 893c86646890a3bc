import type { Digest } from "@gantry/spec";
import type { RunMount } from "../dockerfile/mounts.ts";

/**
 * One piece of work. Ops are data only: an equal op on inputs of equal content gives an equal result, which is what the
 * cache rests on. Whatever must not enter the cache key (limits, proxies) is in the build's settings instead.
 */
export type Op = BaseOp | ContextOp | HttpOp | GitOp | ExecOp | CopyOp | MkdirOp;

/** The layers of an image that is here already; none for `scratch`. */
export interface BaseOp {
  type: "base";
  layers: Digest[];
}

/** The build context. */
export interface ContextOp {
  type: "context";
}

/** A file from a URL; `name` is what it is called when copied into a directory, "" where the URL tells none. */
export interface HttpOp {
  type: "http";
  url: string;
  checksum: string;
}

/** A checkout. */
export interface GitOp {
  type: "git";
  url: string;
  keepGitDir: boolean;
}

/** RUN. Input 0 is the root file system; mounts name further inputs by index. */
export interface ExecOp {
  type: "exec";
  args: string[];
  env: string[];
  /** Proxies: given to the process, not part of the key. */
  quietEnv: string[];
  cwd: string;
  user: string;
  network: "default" | "none" | "host";
  security: "sandbox" | "insecure";
  mounts: ExecMount[];
  /** The script of `RUN <<EOF` with a `#!` line, mounted at /dev/pipes. */
  script?: { name: string; content: string };
}

export interface ExecMount extends RunMount {
  /** Which input it shows; undefined where it shows none. */
  input?: number;
}

/** COPY and ADD. Input 0 is the root file system (none with `link`). */
export interface CopyOp {
  type: "copy";
  command: "COPY" | "ADD";
  sources: CopySource[];
  inline: { name: string; content: string }[];
  /** Absolute; ends in "/" where it must be a directory. */
  dest: string;
  /** As written. */
  rawDest: string;
  /** `user[:group]`; undefined keeps the source's owner (`--from`), "0:0" is the rule. */
  chown?: string;
  chmod?: string;
  exclude: string[];
  parents: boolean;
  link: boolean;
  /** Unpack local archives (ADD), or remote ones too (`--unpack`). */
  unpack: "none" | "local" | "all";
}

export interface CopySource {
  input: number;
  /** As written, variables replaced. "" means the whole input (URLs). */
  path: string;
  /** Whether wildcards are wildcards, and archives unpacked: not so in remote files. */
  remote: boolean;
}

/** WORKDIR: makes a directory where there is none. */
export interface MkdirOp {
  type: "mkdir";
  path: string;
}

/** A node of the build graph. Vertices of one plan are shared where two steps need the same thing. */
export interface Vertex {
  readonly op: Op;
  readonly inputs: Vertex[];
  /** For logs and the list of cached steps. */
  readonly description: string;
}
