import { type AuthEntry, type ConfigFile, readConfigFile, writeConfigFile } from "./config-file.ts";
import { CredentialHelper } from "./helper.ts";

/** Credentials of one registry, as they go to the engine (Docker's AuthConfig). */
export interface RegistryCredentials {
  username?: string;
  password?: string;
  identitytoken?: string;
  registrytoken?: string;
  serveraddress?: string;
  email?: string;
}

/** The key under which Docker Hub's credentials are kept. */
export const HUB_KEY = "https://index.docker.io/v1/";

/** The key of a registry's credentials: its host, or HUB_KEY for Docker Hub. */
export function credentialsKey(registry: string): string {
  const host =
    registry
      .trim()
      .replace(/^https?:\/\//i, "")
      .split("/")[0] ?? "";
  return ["", "docker.io", "index.docker.io", "registry-1.docker.io"].includes(host) ? HUB_KEY : host;
}

/** Where a registry's credentials are kept. */
export type Keeping = { kind: "file" } | { kind: "helper"; name: string };

/**
 * The user's credentials: in `config.json`, or with the helper that it names for one registry (`credHelpers`) or for all
 * (`credsStore`). Every operation reads the file anew.
 */
export class CredentialStore {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where this registry's credentials are, or would go. */
  async keeping(registry: string): Promise<Keeping> {
    return keepingOf(await readConfigFile(this.path), credentialsKey(registry));
  }

  /** The credentials of a registry (a host, or a server address); empty where there are none. */
  async get(registry: string): Promise<RegistryCredentials> {
    const config = await readConfigFile(this.path);
    const key = credentialsKey(registry);
    const keeping = keepingOf(config, key);
    if (keeping.kind === "helper") return fromHelper(keeping.name, key);
    const entry = findEntry(config, key);
    return entry ? decodeEntry(entry, key) : {};
  }

  /** The credentials of all registries, for `X-Registry-Config`. */
  async all(): Promise<Record<string, RegistryCredentials>> {
    const config = await readConfigFile(this.path);
    const all: Record<string, RegistryCredentials> = {};
    for (const [key, entry] of Object.entries(config.auths ?? {})) {
      const credentials = decodeEntry(entry, key);
      if (credentials.username || credentials.identitytoken || credentials.registrytoken) all[key] = credentials;
    }
    if (config.credsStore) {
      for (const key of Object.keys(await new CredentialHelper(config.credsStore).list())) {
        if (config.credHelpers?.[key] === undefined) all[key] = await fromHelper(config.credsStore, key);
      }
    }
    for (const [key, name] of Object.entries(config.credHelpers ?? {})) {
      const credentials = name ? await fromHelper(name, key) : {};
      if (Object.keys(credentials).length > 0) all[key] = credentials;
    }
    return all;
  }

  /** Keeps credentials (login). */
  async store(registry: string, credentials: RegistryCredentials): Promise<Keeping> {
    const config = await readConfigFile(this.path);
    const key = credentialsKey(registry);
    const keeping = keepingOf(config, key);
    config.auths = { ...config.auths };
    removeAliases(config.auths, key);
    if (keeping.kind === "helper") {
      await new CredentialHelper(keeping.name).store({
        ServerURL: key,
        Username: credentials.identitytoken ? "<token>" : (credentials.username ?? ""),
        Secret: credentials.identitytoken ?? credentials.password ?? "",
      });
      // An empty entry tells that there is something with the helper.
      config.auths[key] = {};
    } else {
      config.auths[key] = encodeEntry(credentials);
    }
    await writeConfigFile(this.path, config);
    return keeping;
  }

  /** Forgets credentials (logout). Returns whether there were any in the file. */
  async erase(registry: string): Promise<boolean> {
    const config = await readConfigFile(this.path);
    const key = credentialsKey(registry);
    const keeping = keepingOf(config, key);
    if (keeping.kind === "helper") await new CredentialHelper(keeping.name).erase(key);
    const auths = { ...config.auths };
    const had = removeAliases(auths, key);
    if (had) await writeConfigFile(this.path, { ...config, auths });
    return had;
  }
}

/** AuthConfig as the value of an `X-Registry-Auth` header. */
export function encodeRegistryAuth(credentials: RegistryCredentials): string {
  return base64url(JSON.stringify(credentials));
}

/** All AuthConfigs as the value of an `X-Registry-Config` header. */
export function encodeRegistryConfig(all: Record<string, RegistryCredentials>): string {
  return base64url(JSON.stringify(all));
}

function base64url(text: string): string {
  // With padding, which Go's URL-safe decoder insists on.
  return Buffer.from(text, "utf8").toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

function keepingOf(config: ConfigFile, key: string): Keeping {
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  return helper ? { kind: "helper", name: helper } : { kind: "file" };
}

async function fromHelper(name: string, key: string): Promise<RegistryCredentials> {
  const found = await new CredentialHelper(name).get(key);
  if (!found || (!found.Username && !found.Secret)) return {};
  if (found.Username === "<token>") return { identitytoken: found.Secret, serveraddress: key };
  return { username: found.Username, password: found.Secret, serveraddress: key };
}

/** The entry under its key, or under any older spelling of it (`https://host/v1/`, `http://host`). */
function findEntry(config: ConfigFile, key: string): AuthEntry | undefined {
  const auths = config.auths ?? {};
  if (Object.hasOwn(auths, key)) return auths[key];
  return Object.entries(auths).find(([name]) => credentialsKey(name) === key)?.[1];
}

function removeAliases(auths: Record<string, AuthEntry>, key: string): boolean {
  let removed = false;
  for (const name of Object.keys(auths)) {
    if (name !== key && credentialsKey(name) !== key) continue;
    delete auths[name];
    removed = true;
  }
  return removed;
}

function decodeEntry(entry: AuthEntry, key: string): RegistryCredentials {
  const credentials: RegistryCredentials = { serveraddress: key };
  if (entry.username) credentials.username = entry.username;
  if (entry.password) credentials.password = entry.password;
  if (entry.auth) {
    const plain = Buffer.from(entry.auth, "base64").toString("utf8");
    const colon = plain.indexOf(":");
    if (colon < 0) throw new Error(`invalid auth configuration file`);
    credentials.username = plain.slice(0, colon);
    credentials.password = plain.slice(colon + 1).replace(/^\0+|\0+$/g, "");
  }
  if (entry.identitytoken) credentials.identitytoken = entry.identitytoken;
  if (entry.registrytoken) credentials.registrytoken = entry.registrytoken;
  if (entry.email) credentials.email = entry.email;
  return credentials;
}

function encodeEntry(credentials: RegistryCredentials): AuthEntry {
  const { username = "", password = "", identitytoken, registrytoken } = credentials;
  // With a token there is no need to keep the password.
  const plain = `${username}:${identitytoken ? "" : password}`;
  const entry: AuthEntry = { auth: Buffer.from(plain, "utf8").toString("base64") };
  if (identitytoken) entry.identitytoken = identitytoken;
  if (registrytoken) entry.registrytoken = registrytoken;
  return entry;
}
