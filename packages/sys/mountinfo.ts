import { readFileSync } from "node:fs";

/** A field of /proc/self/mountinfo (proc_pid_mountinfo(5)), which writes space, tab, newline and backslash as octal. */
export function mountField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Where something is mounted in this process's namespace, in the order of mounting. */
export function mountPoints(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => mountField(line.split(" ")[4] ?? ""));
}
