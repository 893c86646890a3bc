import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { AuthConfig } from "@gantry/spec";
import { CliError } from "./errors.ts";

/** Docker Hub's key in config.json. */
export const DEFAULT_REGISTRY = "https://index.docker.io/v1/";

/** The client's config.json, as far as Gantry reads it; other keys are kept. */
export interface ConfigFile {
  auths?: Record<
    string,
    { auth?: string; identitytoken?: string; registrytoken?: string; username?: string; password?: string }
  >;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  detachKeys?: string;
  psFormat?: string;
  imagesFormat?: string;
  networksFormat?: string;
  volumesFormat?: string;
  statsFormat?: string;
  HttpHeaders?: Record<string, string>;
  [key: string]: unknown;
}

/** Reads config.json; an absent one is empty. Throws CliError for a broken one. */
export function readConfig(dir: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(`${dir}/config.json`, "utf8");
  } catch {
    return {};
  }
  try {
    return JSON.parse(text) as ConfigFile;
  } catch (error) {
    throw new CliError(`loading config file: ${dir}/config.json: ${(error as Error).message}`);
  }
}

/** Writes config.json in one step, readable for its owner only. */
export function writeConfig(dir: string, config: ConfigFile): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const temporary = `${dir}/config.json.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(config, null, "\t"), { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, `${dir}/config.json`);
}

/** The key of a registry in config.json: its address, and for Docker Hub its old URL. */
export function registryKey(domain: string): string {
  return ["docker.io", "index.docker.io", "registry-1.docker.io"].includes(domain) ? DEFAULT_REGISTRY : domain;
}

/** The credentials for a registry: from a credential helper, else from config.json. Undefined where there are none. */
export function credentialsFor(dir: string, key: string): AuthConfig | undefined {
  const config = readConfig(dir);
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) {
    const answer = askHelper(helper, "get", key);
    if (answer) {
      const { Username = "", Secret = "" } = JSON.parse(answer) as { Username?: string; Secret?: string };
      // A helper marks a token by this user name.
      if (Username === "<token>") return { identitytoken: Secret, serveraddress: key };
      return { username: Username, password: Secret, serveraddress: key };
    }
  }
  for (const [name, entry] of Object.entries(config.auths ?? {})) {
    if (name !== key && hostOf(name) !== hostOf(key)) continue;
    const auth: AuthConfig = { serveraddress: name };
    if (entry.auth) {
      const decoded = Buffer.from(entry.auth, "base64").toString("utf8");
      const colon = decoded.indexOf(":");
      if (colon < 0) throw new CliError("invalid auth configuration file");
      auth.username = decoded.slice(0, colon);
      auth.password = decoded.slice(colon + 1).replace(/\0+$/, "");
    }
    if (entry.username) auth.username = entry.username;
    if (entry.password) auth.password = entry.password;
    if (entry.identitytoken) auth.identitytoken = entry.identitytoken;
    if (entry.registrytoken) auth.registrytoken = entry.registrytoken;
    if (auth.username || auth.identitytoken || auth.registrytoken) return auth;
  }
  return undefined;
}

/** All credentials, by registry: what a build takes along. */
export function allCredentials(dir: string): Record<string, AuthConfig> {
  const config = readConfig(dir);
  const keys = new Set([...Object.keys(config.auths ?? {}), ...Object.keys(config.credHelpers ?? {})]);
  const all: Record<string, AuthConfig> = {};
  for (const key of keys) {
    const auth = credentialsFor(dir, key);
    if (auth) all[key] = auth;
  }
  return all;
}

/** Keeps credentials, in the helper where one is set. Returns whether they now lie unencrypted in config.json. */
export function storeCredentials(dir: string, key: string, auth: AuthConfig): boolean {
  const config = readConfig(dir);
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) {
    const secret = auth.identitytoken
      ? { ServerURL: key, Username: "<token>", Secret: auth.identitytoken }
      : { ServerURL: key, Username: auth.username, Secret: auth.password };
    askHelper(helper, "store", JSON.stringify(secret));
    writeConfig(dir, { ...config, auths: { ...config.auths, [key]: {} } });
    return false;
  }
  const entry = auth.identitytoken
    ? { auth: Buffer.from(`${auth.username ?? ""}:`).toString("base64"), identitytoken: auth.identitytoken }
    : { auth: Buffer.from(`${auth.username ?? ""}:${auth.password ?? ""}`).toString("base64") };
  writeConfig(dir, { ...config, auths: { ...config.auths, [key]: entry } });
  return true;
}

/** Forgets credentials. Returns whether there were any. */
export function eraseCredentials(dir: string, key: string): boolean {
  const config = readConfig(dir);
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) askHelper(helper, "erase", key);
  const auths = { ...config.auths };
  const names = Object.keys(auths).filter((name) => name === key || hostOf(name) === hostOf(key));
  for (const name of names) delete auths[name];
  if (names.length > 0) writeConfig(dir, { ...config, auths });
  return names.length > 0 || helper !== undefined;
}

function askHelper(helper: string, action: "get" | "store" | "erase", input: string): string | undefined {
  if (!/^[A-Za-z0-9._-]+$/.test(helper)) throw new CliError(`invalid credential helper: ${helper}`);
  // Loaded here: it costs more than all else that reading config.json needs.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const { status, stdout, error } = spawnSync(`docker-credential-${helper}`, [action], {
    input,
    encoding: "utf8",
    timeout: 60_000,
  });
  if (error) throw new CliError(`error getting credentials - err: ${error.message}, out: \`\``);
  if (status === 0) return stdout;
  const text = stdout.trim();
  if (action !== "store" && text.includes("credentials not found")) return undefined;
  throw new CliError(
    `error ${action === "get" ? "getting" : action === "store" ? "storing" : "erasing"} credentials - err: exit status ${status}, out: \`${text}\``,
  );
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, "").split("/")[0]!;
}
