import { spawn } from "node:child_process";
import { Docker } from "@gantry/client";
import { err } from "./output.ts";

const PATIENCE_MS = 15_000;

/**
 * Starts `gantry daemon` in the background for a unix socket and waits until it answers. False where this user may
 * not, or where the daemon ends before it answers.
 */
export async function startDaemon(host: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  err(`Starting the Gantry daemon at ${host}\n`);
  // Under plain bun (development) the script comes first; the compiled program is its own interpreter.
  const script = process.argv[1];
  const self = script && /\.[cm]?[jt]s$/.test(script) && !script.startsWith("/$bunfs") ? [script] : [];
  const child = spawn(process.execPath, [...self, "daemon", "-H", host], { detached: true, stdio: "ignore", cwd: "/" });
  child.unref();
  let ended = false;
  child.once("exit", () => {
    ended = true;
  });
  child.once("error", () => {
    ended = true;
  });
  const probe = new Docker({ host });
  const until = Date.now() + PATIENCE_MS;
  while (Date.now() < until) {
    try {
      await probe.system.ping();
      probe.close();
      return true;
    } catch {
      // Another command may have started one at the same time, and ours then ends: keep asking a little.
      if (ended && Date.now() > until - PATIENCE_MS + 1000) return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
