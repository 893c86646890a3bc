import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as sys from "./index.ts";

function temporary(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "gantry-sys-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("a failing call carries errno, name and subject", () => {
  try {
    sys.open("/nowhere/at/all", sys.O.RDONLY);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(sys.SysError);
    expect((error as sys.SysError).code).toBe("ENOENT");
    expect((error as sys.SysError).message).toBe("open /nowhere/at/all: no such file or directory");
  }
});

test("a path with a NUL is refused before the kernel sees half of it", () => {
  expect(() => sys.open("/etc/passwd\0x", sys.O.RDONLY)).toThrow("invalid argument");
});

test("openat2 with IN_ROOT keeps absolute and climbing links inside", () => {
  using dir = temporary();
  writeFileSync(join(dir.path, "passwd"), "inside");
  symlinkSync("/passwd", join(dir.path, "absolute"));
  symlinkSync("../../../../passwd", join(dir.path, "climbing"));
  const root = sys.open(dir.path, sys.O.PATH | sys.O.DIRECTORY);
  for (const name of ["absolute", "climbing"]) {
    const fd = sys.openat2(root, name, { flags: sys.O.RDONLY, resolve: sys.RESOLVE.IN_ROOT });
    const buffer = new Uint8Array(16);
    expect(new TextDecoder().decode(buffer.subarray(0, sys.read(fd, buffer)))).toBe("inside");
    sys.close(fd);
    expect(() => sys.openat2(root, name, { flags: sys.O.RDONLY, resolve: sys.RESOLVE.BENEATH })).toThrow(
      "cross-device",
    );
  }
  sys.close(root);
});

test("statx, getdents, utimensat, xattrs agree with what was written", () => {
  using dir = temporary();
  const file = join(dir.path, "a");
  writeFileSync(file, "12345", { mode: 0o640 });
  sys.utimensat(sys.AT.FDCWD, file, 1_000_000_001n, -1_500_000_000n);
  const stat = sys.statx(sys.AT.FDCWD, file);
  expect(stat.size).toBe(5);
  expect(stat.mode).toBe(sys.S.IFREG | 0o640);
  expect(stat.atimeNs).toBe(1_000_000_001n);
  expect(stat.mtimeNs).toBe(-1_500_000_000n);
  sys.setxattr(file, "trusted.gantry", new Uint8Array([1, 2, 3]));
  sys.setxattr(file, "trusted.empty", new Uint8Array());
  expect(sys.getxattr(file, "trusted.gantry")).toEqual(new Uint8Array([1, 2, 3]));
  expect(sys.getxattr(file, "trusted.empty")).toEqual(new Uint8Array());
  expect(sys.getxattr(file, "trusted.none")).toBeNull();
  expect(
    sys
      .listxattr(file)
      .filter((n) => n.startsWith("trusted."))
      .sort(),
  ).toEqual(["trusted.empty", "trusted.gantry"]);
  const long = new Uint8Array(3000).fill(7);
  sys.setxattr(file, "trusted.gantry", long);
  expect(sys.getxattr(file, "trusted.gantry")).toEqual(long);
  const fd = sys.open(dir.path, sys.O.RDONLY | sys.O.DIRECTORY);
  expect(sys.getdents(fd).map((e) => [e.name, e.type])).toEqual([["a", 8]]);
  sys.close(fd);
});

test("device nodes keep large major and minor numbers", () => {
  using dir = temporary();
  const root = sys.open(dir.path, sys.O.RDONLY | sys.O.DIRECTORY);
  sys.mknodat(root, "node", sys.S.IFCHR | 0o600, sys.makedev(511, 70000));
  const stat = sys.statx(root, "node");
  expect([stat.rdevMajor, stat.rdevMinor]).toEqual([511, 70000]);
  sys.close(root);
});

test("a detached tmpfs is usable by descriptor and is in no mount table", () => {
  const context = sys.fsopen("tmpfs");
  sys.fsconfigString(context, "size", "1m");
  sys.fsconfigCreate(context);
  const root = sys.fsmount(context);
  sys.close(context);
  sys.mkdirat(root, "inside", 0o755);
  const list = sys.openat(root, ".", sys.O.RDONLY | sys.O.DIRECTORY);
  expect(sys.getdents(list).map((e) => e.name)).toEqual(["inside"]);
  sys.close(list);
  sys.close(root);
});

test("descriptors travel over a unix socket", () => {
  const [a, b] = sys.socketpair(sys.AF.UNIX, sys.SOCK.STREAM);
  const [reader, writer] = sys.pipe();
  sys.sendFds(a, new Uint8Array([1]), [writer]);
  sys.close(writer);
  const got = sys.recvFds(b, new Uint8Array(8));
  expect(got.length).toBe(1);
  expect(got.fds).toHaveLength(1);
  sys.writeAll(got.fds[0]!, new TextEncoder().encode("hello"));
  sys.close(got.fds[0]!);
  const buffer = new Uint8Array(16);
  expect(new TextDecoder().decode(buffer.subarray(0, sys.read(reader, buffer)))).toBe("hello");
  expect(sys.read(reader, buffer)).toBe(0);
  for (const fd of [a, b, reader]) sys.close(fd);
});

test("inNetworkNamespace comes back, also after an error", () => {
  const links = () => readFileSync("/proc/thread-self/net/dev", "utf8");
  const before = links();
  const home = sys.open("/proc/thread-self/ns/net", sys.O.RDONLY);
  sys.unshare(sys.CLONE_NEW.NET);
  const other = sys.open("/proc/thread-self/ns/net", sys.O.RDONLY);
  sys.setns(home, sys.CLONE_NEW.NET);
  const inside = sys.inNetworkNamespace(
    other,
    () => readFileSync("/proc/thread-self/net/dev", "utf8").split("\n").length,
  );
  expect(inside).toBe(4);
  expect(() =>
    sys.inNetworkNamespace(other, () => {
      throw new Error("inside");
    }),
  ).toThrow("inside");
  expect(links().split("\n").length).toBe(before.split("\n").length);
  sys.close(other);
  sys.close(home);
});

test("flags of inodes are added where the file system has them, and else nothing happens", () => {
  const path = mkdtempSync(join(tmpdir(), "gantry-flags-"));
  try {
    const before = sys.inodeFlags(path);
    const added = sys.addInodeFlags(path, sys.FS_FL.TOPDIR);
    expect(((sys.inodeFlags(path) ?? 0) & sys.FS_FL.TOPDIR) !== 0).toBe(added);
    if (before !== null && added) expect(sys.inodeFlags(path)).toBe(before | sys.FS_FL.TOPDIR);
    expect(sys.inodeFlags("/proc/self")).toBeNull();
    expect(sys.addInodeFlags("/proc/self", sys.FS_FL.TOPDIR)).toBe(false);
  } finally {
    rmSync(path, { recursive: true });
  }
});
