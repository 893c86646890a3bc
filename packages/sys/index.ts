/** libc by FFI, netlink, libnftables, file descriptors. Every failing call throws `SysError`. */
export * from "./epoll.ts";
export * from "./errno.ts";
export * from "./file.ts";
export * from "./ip-address.ts";
export { address, check, cstr, errno, libc, NR, syscall } from "./libc.ts";
export * from "./mount.ts";
export * from "./namespace.ts";
export * from "./netlink.ts";
export * from "./netlink-route.ts";
export { type BridgePortFlags, type LinkKind, type LinkSettings, RouteBatch } from "./netlink-route-batch.ts";
export type { AddressInfo, LinkInfo, LinkStats, NeighbourInfo, RouteInfo } from "./netlink-route-parse.ts";
export { parseLink } from "./netlink-route-parse.ts";
export * from "./nftables.ts";
export * from "./nftables-elements.ts";
export * from "./process.ts";
export * from "./socket.ts";
export * from "./worker.ts";
export * from "./xattr.ts";
