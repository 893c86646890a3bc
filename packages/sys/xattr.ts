import { SysError } from "./errno.ts";
import { check, cstr, errno, libc } from "./libc.ts";

const decoder = new TextDecoder();
const ENODATA = 61;
const ERANGE = 34;
const EOPNOTSUPP = 95;

type Target = string | number;

/** Sets an extended attribute of a path (a symlink itself, not its target) or of an open descriptor. */
export function setxattr(target: Target, name: string, value: Uint8Array): void {
  const data = value.length === 0 ? null : value;
  check(
    typeof target === "number"
      ? libc.fsetxattr(target, cstr(name), data, value.length, 0)
      : libc.lsetxattr(cstr(target), cstr(name), data, value.length, 0),
    "setxattr",
    name,
  );
}

function sized(call: (buffer: Uint8Array | null, size: number) => number | bigint, name: string): Uint8Array | null {
  const first = new Uint8Array(256);
  let n = Number(call(first, first.length));
  if (n >= 0) return first.subarray(0, n);
  for (;;) {
    const code = errno();
    if (code === ENODATA || code === EOPNOTSUPP) return null;
    if (code !== ERANGE) throw new SysError("getxattr", code, name);
    n = check(call(null, 0), "getxattr", name);
    const buffer = new Uint8Array(n + 64);
    n = Number(call(buffer, buffer.length));
    if (n >= 0) return buffer.subarray(0, n);
  }
}

/** The value, or null where there is none (or the file system has no such attributes). */
export function getxattr(target: Target, name: string): Uint8Array | null {
  const key = cstr(name);
  const path = typeof target === "string" ? cstr(target) : null;
  return sized(
    (buffer, size) =>
      path ? libc.lgetxattr(path, key, buffer, size) : libc.fgetxattr(target as number, key, buffer, size),
    name,
  );
}

/** Names of all extended attributes. */
export function listxattr(target: Target): string[] {
  const path = typeof target === "string" ? cstr(target) : null;
  const raw = sized(
    (buffer, size) => (path ? libc.llistxattr(path, buffer, size) : libc.flistxattr(target as number, buffer, size)),
    "list",
  );
  if (!raw || raw.length === 0) return [];
  return decoder.decode(raw).split("\0").filter(Boolean);
}

export function removexattr(path: string, name: string): void {
  check(libc.lremovexattr(cstr(path), cstr(name)), "removexattr", name);
}
