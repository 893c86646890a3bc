import { type Static, Type } from "@sinclair/typebox";

/** What a plugin asks for: a privilege with the values it needs. */
export const PluginPrivilege = Type.Object({
  Name: Type.String(),
  Description: Type.String(),
  Value: Type.Array(Type.String()),
});
export type PluginPrivilege = Static<typeof PluginPrivilege>;

/** A managed plugin. `Config` and `Settings` are the plugin's own documents. */
export const Plugin = Type.Object({
  Id: Type.Optional(Type.String()),
  Name: Type.String(),
  Enabled: Type.Boolean(),
  PluginReference: Type.Optional(Type.String()),
  Settings: Type.Unknown(),
  Config: Type.Unknown(),
});
export type Plugin = Static<typeof Plugin>;
