/** libc by FFI, netlink, libnftables, file descriptors. Every failing call throws `SysError`. */
export * from "./errno.ts";
export * from "./file.ts";
export { address, check, cstr, errno, libc, NR, syscall } from "./libc.ts";
export * from "./mount.ts";
export * from "./namespace.ts";
export * from "./process.ts";
export * from "./socket.ts";
export * from "./xattr.ts";
