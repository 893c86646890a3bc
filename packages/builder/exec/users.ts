import { invalidParameter, type OciUser } from "@gantry/spec";
import { close, O, openat2, RESOLVE, read, S, SysError, statx } from "@gantry/sys";

/** An image's users and groups. */
export interface UserFiles {
  passwd: { name: string; id: number; gid: number; home: string }[];
  group: { name: string; id: number; members: string[] }[];
}

/** Files larger than this are not read: nobody has that many users. */
const MAX_FILE = 4 << 20;
const MAX_ID = 0x7fffffff;

/** Reads /etc/passwd and /etc/group below a root; what is missing is empty. */
export function readUserFiles(rootFd: number): UserFiles {
  const passwd = lines(rootFd, "etc/passwd").flatMap(([name = "", , uid, gid, , home = ""]) => {
    const ids = [numeric(uid), numeric(gid)] as const;
    return ids[0] === undefined ? [] : [{ name, id: ids[0], gid: ids[1] ?? 0, home }];
  });
  const group = lines(rootFd, "etc/group").flatMap(([name = "", , gid, members = ""]) => {
    const id = numeric(gid);
    return id === undefined ? [] : [{ name, id, members: members.split(",").filter(Boolean) }];
  });
  return { passwd, group };
}

/**
 * The user a process runs as, from USER's `user[:group]`, by name or number: with supplementary groups and home. Throws
 * invalidParameter in Docker's words where a name is not known.
 */
export function resolveUser(files: UserFiles, text: string): OciUser & { home: string } {
  const [userPart = "", groupPart] = text.split(":");
  const wanted = userPart === "" ? "0" : userPart;
  const id = numeric(wanted);
  const entry = files.passwd.find((user) => user.name === wanted) ?? files.passwd.find((user) => user.id === id);
  if (!entry && id === undefined) {
    throw invalidParameter(`unable to find user ${wanted}: no matching entries in passwd file`);
  }
  const uid = entry?.id ?? id!;
  let gid = entry?.gid ?? 0;
  if (groupPart) {
    const group = files.group.find((candidate) => candidate.name === groupPart);
    const groupId = group?.id ?? numeric(groupPart);
    if (groupId === undefined) {
      throw invalidParameter(`unable to find group ${groupPart}: no matching entries in group file`);
    }
    gid = groupId;
  }
  const name = entry?.name;
  const groups = name && !groupPart ? files.group.filter((group) => group.members.includes(name)).map((g) => g.id) : [];
  return { uid, gid, additionalGids: [...new Set([gid, ...groups])], home: entry?.home || "/" };
}

function numeric(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= MAX_ID ? value : undefined;
}

function lines(rootFd: number, path: string): string[][] {
  return readSmallFile(rootFd, path)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

/** A regular file below a root, links followed inside it; "" where there is none, or it is too large. */
function readSmallFile(rootFd: number, path: string): string {
  let fd: number;
  try {
    // Without O_NONBLOCK a fifo of that name would hold up the daemon.
    fd = openat2(rootFd, path, { flags: O.RDONLY | O.NONBLOCK, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS });
  } catch (error) {
    if (error instanceof SysError) return "";
    throw error;
  }
  try {
    const stat = statx(fd, "");
    if ((stat.mode & S.IFMT) !== S.IFREG || stat.size > MAX_FILE) return "";
    const buffer = new Uint8Array(stat.size);
    let size = 0;
    while (size < buffer.length) {
      const n = read(fd, buffer.subarray(size));
      if (n === 0) break;
      size += n;
    }
    return new TextDecoder().decode(buffer.subarray(0, size));
  } finally {
    close(fd);
  }
}
