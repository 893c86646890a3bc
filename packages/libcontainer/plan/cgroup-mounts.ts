import type { OciMount } from "@gantry/spec";
import { type PlanWriter, Step } from "./format.ts";
import { writeFilesystem } from "./rootfs.ts";

/** v1 hierarchies by the name of their mount point, such as "cpu,cpuacct", each with the container's directory. */
function hierarchies(cgroups: ReadonlyMap<string, string>): Map<string, { controllers: string[]; directory: string }> {
  const found = new Map<string, { controllers: string[]; directory: string }>();
  for (const [controller, directory] of cgroups) {
    const known = found.get(directory);
    if (known) known.controllers.push(controller);
    else found.set(directory, { controllers: [controller], directory });
  }
  return new Map([...found.values()].map((one) => [one.controllers.join(",").replace(/^name=/, ""), one]));
}

/**
 * A "cgroup" mount: cgroup2 as such on v2; on v1 a tmpfs with one mount per hierarchy and a link per controller. In a
 * cgroup namespace they are mounted anew and begin at the container's own cgroup; else that directory is bound.
 */
export function cgroupMountSteps(
  out: PlanWriter,
  mount: OciMount,
  cgroups: ReadonlyMap<string, string>,
  separate: boolean,
  late: [string, number][],
): void {
  const v2 = cgroups.get("");
  const bind = (source: string, destination: string, options: number) =>
    out.record(Step.bind, (body) =>
      body
        .string(source)
        .string(destination)
        .u64(options)
        .u64(0)
        .u64(0)
        .u64(0)
        .u32(0)
        .u32(0)
        .u32(1)
        .string("")
        .string(""),
    );
  const attributes = 0x2 | 0x4 | 0x8 | (mount.options?.includes("ro") ? 1 : 0);
  if (v2 !== undefined) {
    if (separate) writeFilesystem(out, { ...mount, source: "cgroup" }, "cgroup2", late);
    else bind(v2, mount.destination, attributes);
    return;
  }
  const options = ["nosuid", "nodev", "noexec", "mode=755"];
  writeFilesystem(out, { destination: mount.destination, source: "tmpfs", options }, "tmpfs", late);
  for (const [name, { controllers, directory }] of hierarchies(cgroups)) {
    const destination = `${mount.destination}/${name}`;
    if (separate) {
      const flags = ["nosuid", "nodev", "noexec", ...(mount.options?.includes("ro") ? ["ro"] : [])];
      const source = controllers[0]!.startsWith("name=") ? name : "cgroup";
      writeFilesystem(out, { destination, source, options: [...flags, ...controllers] }, "cgroup", late);
    } else bind(directory, destination, attributes);
    if (controllers.length > 1)
      for (const controller of controllers)
        out.record(Step.symlink, (body) => body.string(name).string(`${mount.destination}/${controller}`));
  }
}
