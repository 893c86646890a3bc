import { type Static, Type } from "@sinclair/typebox";
import { maybe } from "./schema.ts";

/** Where a container's port is published: address and port (or range `8000-8010`) as text, empty for any. */
export const PortBinding = Type.Object({ HostIp: maybe(Type.String()), HostPort: maybe(Type.String()) });
export type PortBinding = Static<typeof PortBinding>;

/** Bindings by `port/proto`; null where a port is exposed but not published. */
export const PortMap = Type.Record(Type.String(), Type.Union([Type.Array(PortBinding), Type.Null()]));
export type PortMap = Static<typeof PortMap>;

/** A port in the container list. */
export const PortSummary = Type.Object({
  IP: Type.Optional(Type.String()),
  PrivatePort: Type.Integer(),
  PublicPort: Type.Optional(Type.Integer()),
  Type: Type.String(),
});
export type PortSummary = Static<typeof PortSummary>;
