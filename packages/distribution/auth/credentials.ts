import { type GantryError, invalidParameter, systemError } from "@gantry/spec";

/** What may be shown to a registry: Docker's AuthConfig, as clients send it in `X-Registry-Auth`. */
export interface Credentials {
  username?: string;
  password?: string;
  /** An OAuth2 refresh token; used instead of the password. */
  identityToken?: string;
  /** A bearer token to send as it is. */
  registryToken?: string;
  serverAddress?: string;
}

const MAX_HEADER = 64 * 1024;

/** Whether there is anything in the credentials that could be shown. */
export function hasCredentials(credentials: Credentials | undefined): boolean {
  return !!credentials && !!(credentials.username || credentials.identityToken || credentials.registryToken);
}

/**
 * Reads an `X-Registry-Auth` header: base64url (or standard base64) of an AuthConfig in JSON. Empty or absent gives
 * undefined. Throws invalidParameter where it is neither.
 */
export function decodeRegistryAuth(header: string | null | undefined): Credentials | undefined {
  if (!header) return undefined;
  const value = decodeJson(header, "X-Registry-Auth");
  return toCredentials(value);
}

/** Reads an `X-Registry-Config` header: an object of AuthConfigs by registry, as the classic build endpoint gets it. */
export function decodeRegistryConfig(header: string | null | undefined): Record<string, Credentials> {
  if (!header) return {};
  const value = decodeJson(header, "X-Registry-Config");
  const out: Record<string, Credentials> = {};
  for (const [host, entry] of Object.entries(value)) {
    if (typeof entry !== "object" || entry === null) continue;
    const credentials = toCredentials(entry as Record<string, unknown>);
    if (credentials) out[host] = credentials;
  }
  return out;
}

/** An AuthConfig object, as `POST /auth` has it in its body, with text fields only. */
export function toCredentials(value: Record<string, unknown>): Credentials | undefined {
  const text = (key: string) =>
    typeof value[key] === "string" && value[key] !== "" ? (value[key] as string) : undefined;
  let username = text("username");
  let password = text("password");
  const auth = text("auth");
  if (!username && auth) {
    const plain = Buffer.from(auth, "base64").toString("utf8");
    const colon = plain.indexOf(":");
    if (colon > 0) {
      username = plain.slice(0, colon);
      password = plain.slice(colon + 1).replace(/\0+$/, "");
    }
  }
  const credentials: Credentials = {
    username,
    password,
    identityToken: text("identitytoken"),
    registryToken: text("registrytoken"),
    serverAddress: text("serveraddress"),
  };
  return hasCredentials(credentials) || credentials.serverAddress ? credentials : undefined;
}

/** The `Authorization` value of basic auth (RFC 7617, UTF-8). */
export function basicAuthorization(credentials: Credentials): string {
  return (
    "Basic " + Buffer.from(`${credentials.username ?? ""}:${credentials.password ?? ""}`, "utf8").toString("base64")
  );
}

/**
 * What Docker says where a registry wants credentials and there are none. No 401: clients would take that for the
 * engine's own wish to see credentials, and ask the user.
 */
export const noBasicAuth = (url: string): GantryError =>
  systemError(`Get ${JSON.stringify(url)}: no basic auth credentials`);

function decodeJson(header: string, name: string): Record<string, unknown> {
  if (header.length > MAX_HEADER) throw invalidParameter(`invalid ${name} header: too long`);
  try {
    const value: unknown = JSON.parse(Buffer.from(header, "base64url").toString("utf8"));
    if (value === null) return {};
    if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw invalidParameter(`invalid ${name} header: ${error instanceof Error ? error.message : error}`, error);
  }
  throw invalidParameter(`invalid ${name} header: not an object`);
}
