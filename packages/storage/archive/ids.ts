import { invalidParameter } from "@gantry/spec";

/** A stretch of user or group IDs, as in /proc/<pid>/uid_map. */
export interface IdRange {
  containerId: number;
  hostId: number;
  size: number;
}

/** The ID on disk for an ID in an archive. Throws invalidParameter where no range has it. */
export function toHostId(id: number, ranges: readonly IdRange[] | undefined): number {
  if (id > 0xfffffffe) throw invalidParameter(`archive/tar: owner ID ${id} is out of range`);
  if (!ranges || ranges.length === 0) return id;
  for (const range of ranges) {
    if (id >= range.containerId && id < range.containerId + range.size) return range.hostId + id - range.containerId;
  }
  throw invalidParameter(`Container ID ${id} cannot be mapped to a host ID`);
}

/** The ID in an archive for an ID on disk. Throws invalidParameter where no range has it. */
export function toContainerId(id: number, ranges: readonly IdRange[] | undefined): number {
  if (!ranges || ranges.length === 0) return id;
  for (const range of ranges) {
    if (id >= range.hostId && id < range.hostId + range.size) return range.containerId + id - range.hostId;
  }
  throw invalidParameter(`Host ID ${id} cannot be mapped to a container ID`);
}
