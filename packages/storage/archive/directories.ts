import { invalidParameter } from "@gantry/spec";
import { close, errnoMessage, O, RESOLVE } from "@gantry/sys";
import { setTimes, tryMkdirat, tryOpenat2 } from "./at.ts";
import { splitName } from "./path.ts";

const ENOENT = 2;
const MAX_OPEN = 48;

/**
 * The directories below one root, opened as if the root were `/`: symbolic links inside are followed, none leads out
 * (openat2 RESOLVE_IN_ROOT). The last ones used stay open, since members of an archive come folder by folder.
 */
export class Directories {
  private open = new Map<string, number>();
  private times: { folder: string; seconds: number; nanoseconds: number }[] = [];

  /** `base`: clean path below the root that all names are relative to. */
  constructor(
    private readonly rootFd: number,
    private readonly base = "",
  ) {}

  /** The folder's descriptor (borrowed), created with its parents (0755) where it is missing. */
  get(folder: string): number {
    const known = this.recall(folder);
    if (known !== undefined) return known;
    let fd = this.tryOpen(folder);
    if (fd === -ENOENT && folder !== "") {
      const [parent, name] = splitName(folder);
      const parentFd = this.get(parent);
      tryMkdirat(parentFd, name, 0o755);
      fd = this.tryOpen(folder);
    }
    if (fd < 0) throw invalidParameter(`${folder || "/"}: ${errnoMessage(-fd)}`);
    this.keep(folder, fd);
    return fd;
  }

  /** The same where it exists already, else null. */
  find(folder: string): number | null {
    const known = this.recall(folder);
    if (known !== undefined) return known;
    const fd = this.tryOpen(folder);
    if (fd < 0) return null;
    this.keep(folder, fd);
    return fd;
  }

  /** Takes over a descriptor just opened for the folder. */
  keep(folder: string, fd: number): void {
    const before = this.open.get(folder);
    if (before !== undefined) close(before);
    else if (this.open.size >= MAX_OPEN) {
      const [oldest, oldFd] = this.open.entries().next().value!;
      this.open.delete(oldest);
      close(oldFd);
    }
    this.open.set(folder, fd);
  }

  /** Forgets all but one: for a caller that still works in that directory. */
  forgetExcept(kept: number): void {
    for (const [folder, fd] of this.open) {
      if (fd === kept) continue;
      close(fd);
      this.open.delete(folder);
    }
  }

  /** Forgets what is open: to be called whenever a directory or a link was taken away. */
  forget(): void {
    for (const fd of this.open.values()) close(fd);
    this.open.clear();
  }

  /** Notes a directory's times, which every member made in it would spoil; `finish` sets them. */
  setTimesLater(folder: string, seconds: number, nanoseconds: number): void {
    this.times.push({ folder, seconds, nanoseconds });
  }

  finish(): void {
    for (let i = this.times.length - 1; i >= 0; i--) {
      const { folder, seconds, nanoseconds } = this.times[i]!;
      const fd = this.find(folder);
      if (fd !== null) setTimes(fd, null, seconds, nanoseconds);
    }
    this.forget();
  }

  /** Looks up an open one and makes it the last to be closed. */
  private recall(folder: string): number | undefined {
    const fd = this.open.get(folder);
    if (fd !== undefined && this.open.size > MAX_OPEN / 2) {
      this.open.delete(folder);
      this.open.set(folder, fd);
    }
    return fd;
  }

  private tryOpen(folder: string): number {
    const path = this.base === "" ? folder || "." : `${this.base}/${folder}`;
    return tryOpenat2(this.rootFd, path, O.RDONLY | O.DIRECTORY, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
  }
}
