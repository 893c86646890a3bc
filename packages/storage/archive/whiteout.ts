import { makedev, S, SysError, setxattr } from "@gantry/sys";
import { type FileStat, statAt, tryMknodat } from "./at.ts";

/** AUFS's name of an opaque mark, in layers' archives. */
export const OPAQUE = ".wh..wh..opq";

/**
 * What stands for a whiteout or, by the name above, for an opaque mark where the file system takes overlay's own from nobody: one that
 * is an overlay itself, as a container's root is, or has no extended attributes. No device has this number.
 */
const STAND_IN = { major: 0xfff, minor: 0xfffff };
const OPAQUE_VALUE = Uint8Array.of(0x79);
const REFUSED = new Set([1 /* EPERM */, 95 /* EOPNOTSUPP */]);

type Device = Pick<FileStat, "mode" | "rdevMajor" | "rdevMinor">;

const isDevice = (stat: Device, major: number, minor: number) =>
  (stat.mode & S.IFMT) === S.IFCHR && stat.rdevMajor === major && stat.rdevMinor === minor;

const isStandIn = (stat: Device) => isDevice(stat, STAND_IN.major, STAND_IN.minor);

/** Whether this is what says in a layer's directory that a name below is gone. */
export function isWhiteout(stat: Device): boolean {
  return isDevice(stat, 0, 0) || isStandIn(stat);
}

/** Whether a directory has the stand-in of an opaque mark. */
export function hasOpaqueStandIn(fd: number): boolean {
  const stat = statAt(fd, OPAQUE);
  return stat !== null && isStandIn(stat);
}

/** Makes a whiteout of a name in an open directory. False where the name is taken. */
export function makeWhiteout(parent: number, name: string): boolean {
  return orStandIn(() => tryMknodat(parent, name, S.IFCHR, 0n), parent, name);
}

/** Makes an open directory hide what is below it. `prefix`: of overlay's attributes. */
export function makeOpaque(fd: number, prefix: string): void {
  orStandIn(() => setxattr(fd, `${prefix}opaque`, OPAQUE_VALUE) ?? true, fd, OPAQUE);
}

function orStandIn(make: () => boolean, parent: number, name: string): boolean {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof SysError && REFUSED.has(error.errno))) throw error;
    return tryMknodat(parent, name, S.IFCHR, makedev(STAND_IN.major, STAND_IN.minor));
  }
}
