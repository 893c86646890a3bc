import { type Static, Type } from "@sinclair/typebox";
import { maybe } from "./schema.ts";

/** Credentials: the body of POST /auth, and (JSON in URL-safe base64) the `X-Registry-Auth` header. */
export const AuthConfig = Type.Object({
  username: maybe(Type.String()),
  password: maybe(Type.String()),
  auth: maybe(Type.String()),
  email: maybe(Type.String()),
  serveraddress: maybe(Type.String()),
  identitytoken: maybe(Type.String()),
  registrytoken: maybe(Type.String()),
});
export type AuthConfig = Static<typeof AuthConfig>;

/** The `X-Registry-Config` header of a build: credentials by registry address. */
export const AuthConfigs = Type.Record(Type.String(), AuthConfig);
export type AuthConfigs = Static<typeof AuthConfigs>;

/** Answer of POST /auth. */
export const AuthResponse = Type.Object({ Status: Type.String(), IdentityToken: Type.String() });
export type AuthResponse = Static<typeof AuthResponse>;
