import type { AuthConfig } from "@gantry/spec";

/** JSON in URL-safe base64, with padding, as the engine's `X-Registry-…` headers carry it. */
export function encodeAuth(value: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_");
}

/** The header with credentials for one registry; none where there are none. */
export function authHeader(auth: AuthConfig | undefined): Record<string, string> {
  return auth ? { "X-Registry-Auth": encodeAuth(auth) } : {};
}
