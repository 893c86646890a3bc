import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import type { ExitStatus } from "../contract.ts";
import { SOCKET_NAME } from "./control.ts";

/** What is kept of a task beside its socket, so that it is found again. */
export interface TaskRecord {
  version: 1;
  id: string;
  exitFile: string;
  /** Path of its cgroup below the manager's root; "" for none. */
  cgroup: string;
  terminal: boolean;
}

const FILE = "task.json";

/** Where an overlay is mounted, inside the container's mount namespace only. */
export const mountPointOf = (stateDir: string) => `${stateDir}/rootfs`;

export function makeStateDir(stateDir: string): void {
  mkdirSync(mountPointOf(stateDir), { recursive: true, mode: 0o700 });
}

/** Atomic; without a sync, since a state directory does not outlive the machine's run. */
export function writeRecord(stateDir: string, record: TaskRecord): void {
  writeFileSync(`${stateDir}/.${FILE}`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${stateDir}/.${FILE}`, `${stateDir}/${FILE}`);
}

export function readRecord(stateDir: string): TaskRecord | null {
  try {
    const record = JSON.parse(readFileSync(`${stateDir}/${FILE}`, "utf8")) as TaskRecord;
    return record.version === 1 && typeof record.id === "string" ? record : null;
  } catch {
    return null;
  }
}

/** The exit status that the shim recorded, or null where it did not come to that. */
export function readExit(exitFile: string): ExitStatus | null {
  try {
    const status = JSON.parse(readFileSync(exitFile, "utf8")) as ExitStatus;
    return Number.isInteger(status.exitCode) && typeof status.exitedAt === "string" ? status : null;
  } catch {
    return null;
  }
}

/** The exit of a run before must not count as that of the one to come: its shim may be killed before it records any. */
export function forgetExit(exitFile: string): void {
  if (exitFile) rmSync(exitFile, { force: true });
}

/** Removes a task's directory: by the names we know, which takes a tenth of a walk's time, else whatever it holds. */
export function removeStateDir(stateDir: string): void {
  try {
    for (const name of [FILE, SOCKET_NAME]) unlinkSync(`${stateDir}/${name}`);
    rmdirSync(mountPointOf(stateDir));
    rmdirSync(stateDir);
  } catch {
    rmSync(stateDir, { recursive: true, force: true });
  }
}
