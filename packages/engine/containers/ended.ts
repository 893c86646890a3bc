import { readlink } from "node:fs/promises";
import type { Container } from "./container.ts";

/** Whether the container has ended, heard of or not. */
export async function hasEnded({ running, state, task }: Container): Promise<boolean> {
  if (!running || task === null) return true;
  try {
    // Who is dead has no namespaces, even before the shim has looked.
    await readlink(`/proc/${state.pid}/ns/ipc`);
  } catch {
    return true;
  }
  return (await task.status().catch(() => "stopped")) === "stopped";
}
