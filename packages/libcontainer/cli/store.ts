import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { conflict, invalidParameter, notFound, type OciState, type RuntimeSpec } from "@gantry/spec";
import type { CgroupManager } from "../cgroups/index.ts";

/** What is kept of a container in `<root>/<id>/state.json`. */
export interface Container {
  ociVersion: string;
  id: string;
  pid: number;
  /** Clock ticks since boot at which init began: tells it from another process of the same pid. */
  startTime: number;
  bundle: string;
  created: string;
  annotations?: Record<string, string>;
  cgroup: string;
  spec: RuntimeSpec;
}

const ID = /^[a-zA-Z0-9_+.-]{1,1024}$/;

function checkId(id: string | undefined): string {
  if (!id) throw invalidParameter("container id cannot be empty");
  if (!ID.test(id) || id === "." || id === "..") throw invalidParameter(`invalid container ID format: ${id}`);
  return id;
}

/** State and start time of a process from /proc/<pid>/stat, or null where it is gone. */
export function processStat(pid: number): { state: string; startTime: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0]!, startTime: Number(fields[19]) };
  } catch {
    return null;
  }
}

/** The containers of one `--root`. */
export class Store {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }

  directory(id: string): string {
    return `${this.root}/${checkId(id)}`;
  }

  fifo(id: string): string {
    return `${this.directory(id)}/start.fifo`;
  }

  /** Makes the directory of a new container. Throws `conflict` where the id is taken. */
  claim(id: string | undefined): string {
    const directory = this.directory(checkId(id));
    mkdirSync(this.root, { recursive: true, mode: 0o711 });
    try {
      mkdirSync(directory, { mode: 0o711 });
    } catch (error) {
      if ((error as { code?: string }).code === "EEXIST") throw conflict("container with given ID already exists");
      throw error;
    }
    return directory;
  }

  save(container: Container): void {
    const file = `${this.directory(container.id)}/state.json`;
    writeFileSync(`${file}.tmp`, JSON.stringify(container), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }

  load(id: string | undefined): Container {
    try {
      return JSON.parse(readFileSync(`${this.directory(checkId(id))}/state.json`, "utf8")) as Container;
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") throw notFound("container does not exist");
      throw error;
    }
  }

  remove(id: string): void {
    rmSync(this.directory(id), { recursive: true, force: true });
  }

  ids(): string[] {
    return existsSync(this.root)
      ? readdirSync(this.root).filter((id) => existsSync(`${this.root}/${id}/state.json`))
      : [];
  }

  status(container: Container, cgroups: CgroupManager): OciState["status"] {
    const stat = processStat(container.pid);
    if (!stat || stat.startTime !== container.startTime || stat.state === "Z" || stat.state === "X") return "stopped";
    if (existsSync(this.fifo(container.id))) return "created";
    return cgroups.exists(container.cgroup) && cgroups.isFrozen(container.cgroup) ? "paused" : "running";
  }

  /** The state as runtime.md has it. */
  state(container: Container, status: OciState["status"]): OciState {
    const { ociVersion, id, pid, bundle, annotations } = container;
    return { ociVersion, id, status, pid: status === "stopped" ? 0 : pid, bundle, annotations };
  }
}
