import { readFileSync, realpathSync } from "node:fs";
import { systemError } from "@gantry/spec";
import { mountField } from "@gantry/sys";

interface HostMount {
  point: string;
  /** "shared:7", "master:7", … */
  tags: string[];
}

/** The mount of the host that a path is in, by /proc/self/mountinfo: the last one of those nearest above it. */
export function mountOf(path: string, mountinfo: string): HostMount {
  let nearest: HostMount = { point: "", tags: [] };
  for (const line of mountinfo.split("\n")) {
    const fields = line.split(" - ")[0]!.split(" ");
    const point = mountField(fields[4] ?? "");
    if (point === "" || point.length < nearest.point.length) continue;
    if (path === point || path.startsWith(point === "/" ? point : `${point}/`))
      nearest = { point, tags: fields.slice(6) };
  }
  return nearest;
}

/**
 * Checks that mounts can come through at all: of what is no peer or slave of another, none do. Throws in Docker's words.
 */
export function checkPropagation(source: string, propagation: string): void {
  const mode = propagation.replace(/^r/, "");
  if (mode !== "shared" && mode !== "slave") return;
  const { point, tags } = mountOf(realpathSync(source), readFileSync("/proc/self/mountinfo", "utf8"));
  const is = (kind: string) => tags.some((tag) => tag.startsWith(`${kind}:`));
  if (mode === "shared" && !is("shared"))
    throw systemError(`path ${source} is mounted on ${point} but it is not a shared mount`);
  if (mode === "slave" && !is("shared") && !is("master"))
    throw systemError(`path ${source} is mounted on ${point} but it is not a shared or slave mount`);
}
