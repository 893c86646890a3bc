import { invalidParameter, type OciUser } from "@gantry/spec";
import { close, O, openat2, RESOLVE, read } from "@gantry/sys";

/** What a container's /etc/passwd and /etc/group say. */
export interface UserDatabase {
  passwd: { name: string; uid: number; gid: number; home: string }[];
  group: { name: string; gid: number; members: string[] }[];
}

const MAX_FILE = 4 << 20;

/** Reads /etc/passwd and /etc/group below a root directory, never leaving it. Missing or odd files count as empty. */
export function readUserDatabase(rootFd: number): UserDatabase {
  return { passwd: parsePasswd(readBelow(rootFd, "etc/passwd")), group: parseGroup(readBelow(rootFd, "etc/group")) };
}

function readBelow(rootFd: number, path: string): string {
  let fd: number;
  try {
    fd = openat2(rootFd, path, {
      flags: O.RDONLY | O.NONBLOCK,
      resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS,
    });
  } catch {
    return "";
  }
  try {
    const parts: Buffer[] = [];
    let size = 0;
    while (size < MAX_FILE) {
      const buffer = Buffer.alloc(65536);
      const length = read(fd, buffer);
      if (length <= 0) break;
      size += length;
      parts.push(buffer.subarray(0, length));
    }
    return Buffer.concat(parts).toString("utf8");
  } catch {
    return "";
  } finally {
    close(fd);
  }
}

export function parsePasswd(text: string): UserDatabase["passwd"] {
  const result: UserDatabase["passwd"] = [];
  for (const line of text.split("\n")) {
    const [name, , uid, gid, , home] = line.split(":");
    if (name === undefined || uid === undefined || gid === undefined || !/^\d+$/.test(uid) || !/^\d+$/.test(gid))
      continue;
    result.push({ name, uid: Number(uid), gid: Number(gid), home: home ?? "" });
  }
  return result;
}

export function parseGroup(text: string): UserDatabase["group"] {
  const result: UserDatabase["group"] = [];
  for (const line of text.split("\n")) {
    const [name, , gid, members] = line.split(":");
    if (name === undefined || gid === undefined || !/^\d+$/.test(gid)) continue;
    result.push({
      name,
      gid: Number(gid),
      members: (members ?? "")
        .trim()
        .split(",")
        .filter((member) => member !== ""),
    });
  }
  return result;
}

const MAX_ID = 0x7fffffff;

/**
 * Resolves "user[:group]" and additional groups, names or numbers, as Docker does: a number need not be in the
 * database, a name must. Throws invalidParameter.
 */
export function resolveUser(database: UserDatabase, spec: string, groupAdd: string[]): OciUser & { home: string } {
  const colon = spec.indexOf(":");
  const userPart = colon < 0 ? spec : spec.slice(0, colon);
  const groupPart = colon < 0 ? "" : spec.slice(colon + 1);
  const entry =
    userPart === ""
      ? database.passwd.find((user) => user.uid === 0)
      : (database.passwd.find((user) => user.name === userPart) ??
        (/^\d+$/.test(userPart) ? database.passwd.find((user) => user.uid === Number(userPart)) : undefined));
  let uid = 0;
  let gid = 0;
  let home = "/";
  if (entry !== undefined) {
    uid = entry.uid;
    gid = entry.gid;
    home = entry.home || "/";
  } else if (userPart !== "") {
    if (!/^-?\d+$/.test(userPart)) {
      throw invalidParameter(`unable to find user ${userPart}: no matching entries in passwd file`);
    }
    uid = Number(userPart);
    if (uid < 0 || uid > MAX_ID) throw invalidParameter("uids and gids must be in range 0-2147483647");
  }

  const additional = new Set<number>();
  if (groupPart !== "") {
    const group = findGroup(database, groupPart);
    if (group === null) throw invalidParameter(`unable to find group ${groupPart}: no matching entries in group file`);
    gid = group;
  } else if (entry !== undefined) {
    for (const group of database.group) if (group.members.includes(entry.name)) additional.add(group.gid);
  }
  for (const name of groupAdd) {
    const group = findGroup(database, name);
    if (group === null) throw invalidParameter(`unable to find group ${name}: no matching entries in group file`);
    additional.add(group);
  }
  // Docker puts the primary group among the additional ones too (CVE-2022-36109).
  return { uid, gid, additionalGids: [...new Set([gid, ...additional])], home };
}

function findGroup(database: UserDatabase, name: string): number | null {
  const entry = database.group.find((group) => group.name === name);
  if (entry !== undefined) return entry.gid;
  if (!/^-?\d+$/.test(name)) return null;
  const gid = Number(name);
  if (gid < 0 || gid > MAX_ID) throw invalidParameter("uids and gids must be in range 0-2147483647");
  return gid;
}
