/** Docker Engine API (up to v1.55): every document that crosses the wire, as a schema and as a type of the same name. */
export * from "./auth.ts";
export * from "./build.ts";
export * from "./container.ts";
export * from "./container-config.ts";
export * from "./event.ts";
export * from "./exec.ts";
export * from "./host-config.ts";
export * from "./image.ts";
export * from "./message.ts";
export * from "./mount.ts";
export * from "./network.ts";
export * from "./plugin.ts";
export * from "./port.ts";
export * from "./resources.ts";
export * from "./stats.ts";
export * from "./system.ts";
export * from "./volume.ts";
