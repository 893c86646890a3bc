import { readFileSync, statSync } from "node:fs";
import type { FilesChange } from "@gantry/network";
import { messageOf } from "@gantry/spec";
import { writeInPlace } from "../containers/write-in-place.ts";
import type { Engine } from "../engine.ts";

/**
 * Lets a container's /etc/hosts and /etc/resolv.conf follow a change of its networks. Lines that somebody put into the hosts file
 * stay; a resolv.conf that somebody changed is left alone, as Docker leaves it.
 */
export function followNetworks(engine: Engine, change: FilesChange): void {
  const container = engine.containers.find(change.containerId);
  if (container === null) return;
  const { hosts, resolvConf } = change;
  try {
    if (hosts.text !== hosts.before)
      rewrite(`${container.dir}/hosts`, (text) => withLines(text, hosts.before, hosts.text));
    if (resolvConf.text !== resolvConf.before) {
      rewrite(`${container.dir}/resolv.conf`, (text) => (text === resolvConf.before ? resolvConf.text : text));
    }
  } catch (error) {
    engine.log("warn", `container ${container.id}: its files for names: ${messageOf(error)}`);
  }
}

/** The container may have made it as large as its disk. */
const MOST = 1 << 20;

/** Writes a file in place: it is mounted into the container. */
function rewrite(path: string, change: (text: string) => string): void {
  if (statSync(path).size > MOST) throw new Error(`${path} has more than ${MOST} bytes`);
  const before = readFileSync(path, "utf8");
  const after = change(before);
  if (after !== before) writeInPlace(path, after);
}

/** `text` with the lines that `after` has and `before` has not at its end, and without those that only `before` has. */
export function withLines(text: string, before: string, after: string): string {
  const [old, wanted] = [before.split("\n"), after.split("\n")];
  const gone = new Set(old.filter((line) => !wanted.includes(line)));
  const kept = text.split("\n").filter((line) => !gone.has(line));
  while (kept.at(-1) === "") kept.pop();
  const added = wanted.filter((line) => line !== "" && !old.includes(line) && !kept.includes(line));
  return `${[...kept, ...added].join("\n")}\n`;
}
