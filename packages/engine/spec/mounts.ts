import { release } from "node:os";
import { defaultMounts, shmMount } from "@gantry/libcontainer";
import type { OciMount } from "@gantry/spec";
import type { ContainerMount, ContainerRecord } from "../containers/record.ts";
import { checkPropagation } from "./propagation.ts";

/** mount_setattr(2) came with Linux 5.12. */
const kernelHasRecursiveReadOnly = (() => {
  const [major = 0, minor = 0] = release().split(/[.-]/).map(Number);
  return major > 5 || (major === 5 && minor >= 12);
})();

/** The files that the engine keeps for a container and mounts over the image's. */
export interface NetworkFiles {
  hosts: string;
  hostname: string;
  resolvConf: string;
}

export interface MountInputs {
  record: ContainerRecord;
  files: NetworkFiles;
  /** Directory on the host for /dev/shm; null for a private tmpfs; "" for none at all. */
  shm: string | null;
  /** Host path of our init, where it is asked for. */
  init: string | null;
  writableCgroups: boolean;
}

/** Everything mounted in a container, shallow places first. What users mount at a place replaces the default there. */
export function containerMounts({ record, files, shm, init, writableCgroups }: MountInputs): OciMount[] {
  const host = record.hostConfig;
  const privileged = host.Privileged === true;
  const defaults = defaultMounts(privileged ? "rw" : "ro", writableCgroups ? "rw" : "ro");
  if (shm === null) {
    defaults.push(shmMount(host.ShmSize ?? 64 << 20));
  } else if (shm !== "") {
    defaults.push({ destination: "/dev/shm", type: "bind", source: shm, options: ["rbind", "rprivate"] });
  }

  const own: OciMount[] = record.mounts.map(toOciMount);
  for (const [destination, options] of Object.entries(host.Tmpfs ?? {})) {
    own.push({ destination, type: "tmpfs", source: "tmpfs", options: tmpfsOptions(options) });
  }
  const taken = new Set(own.map((mount) => mount.destination));
  const ownFiles = host.ReadonlyRootfs === true ? ["ro"] : [];
  const bind = (destination: string, source: string) => {
    if (!taken.has(destination) && source !== "") {
      own.push({ destination, type: "bind", source, options: ["rbind", "rprivate", ...ownFiles] });
    }
  };
  bind("/etc/resolv.conf", files.resolvConf);
  bind("/etc/hostname", files.hostname);
  bind("/etc/hosts", files.hosts);
  if (init !== null)
    own.push({ destination: "/sbin/docker-init", type: "bind", source: init, options: ["bind", "ro"] });

  const kept = defaults.filter(
    (mount) => !taken.has(mount.destination) && !(taken.has("/dev") && mount.destination.startsWith("/dev/")),
  );
  const depth = (mount: OciMount) => mount.destination.split("/").length;
  return [
    ...kept,
    ...own
      .map((mount, index) => ({ mount, index }))
      .sort((a, b) => depth(a.mount) - depth(b.mount) || a.index - b.index)
      .map(({ mount }) => mount),
  ];
}

/** Docker's defaults, then the user's words. */
function tmpfsOptions(text: string): string[] {
  const given = text === "" ? [] : text.split(",").filter((option) => option !== "defaults");
  return ["noexec", "nosuid", "nodev", "rprivate", ...given];
}

function toOciMount(mount: ContainerMount): OciMount {
  if (mount.type === "tmpfs") {
    return {
      destination: mount.destination,
      type: "tmpfs",
      source: "tmpfs",
      options: ["noexec", "nosuid", "nodev", "rprivate", ...(mount.tmpfsOptions ?? []), ...(mount.rw ? [] : ["ro"])],
    };
  }
  const options = [mount.nonRecursive === true ? "bind" : "rbind"];
  if (!mount.rw) {
    options.push("ro");
    // As Docker since 25: so is what is mounted below it, unless that is waived or beyond the kernel.
    const recursive = mount.nonRecursive !== true && mount.readOnlyNonRecursive !== true;
    if (recursive && (kernelHasRecursiveReadOnly || mount.readOnlyForceRecursive === true)) options.push("rro");
  }
  if (mount.propagation) checkPropagation(mount.source, mount.propagation);
  // Volumes follow the host's mounts in them, as with Docker; only what was bound is cut off.
  if (mount.propagation || mount.type === "bind") options.push(mount.propagation || "rprivate");
  return { destination: mount.destination, type: "bind", source: mount.source, options };
}
