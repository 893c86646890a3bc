import { chmod, mkdir, readFile, realpath, rename, stat, unlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** One registry's entry under `auths`: `auth` is base64 of `user:password`. */
export interface AuthEntry {
  auth?: string;
  email?: string;
  identitytoken?: string;
  registrytoken?: string;
  username?: string;
  password?: string;
  serveraddress?: string;
}

/** The client's `config.json`. Keys that are not known here are kept as they are. */
export interface ConfigFile {
  auths?: Record<string, AuthEntry>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  [key: string]: unknown;
}

const MAX_CONFIG = 4 * 1024 * 1024;

/** The folder of the client's configuration: `DOCKER_CONFIG`, else `~/.docker`. */
export function configDir(environment: Record<string, string | undefined> = process.env): string {
  return environment["DOCKER_CONFIG"] || join(environment["HOME"] || homedir(), ".docker");
}

/** The path of `config.json`. */
export function configPath(environment?: Record<string, string | undefined>): string {
  return join(configDir(environment), "config.json");
}

/** Reads `config.json`; an absent or empty file is an empty configuration. Throws an Error that names the file. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  let text: string;
  try {
    if ((await stat(path)).size > MAX_CONFIG) throw new Error("file is too large");
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return {};
    throw new Error(`loading config file: ${path}: ${(error as Error).message}`);
  }
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as ConfigFile;
  } catch (error) {
    throw new Error(`parsing config file (${path}): ${(error as Error).message}`);
  }
  throw new Error(`parsing config file (${path}): not an object`);
}

/**
 * Writes `config.json`: whole or not at all, readable by its owner only (a mode that was narrowed or widened by hand is
 * kept), through a symbolic link to the file it points at.
 */
export async function writeConfigFile(path: string, config: ConfigFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const target = await realpath(path).catch(() => path);
  const mode = await stat(target).then(
    (info) => info.mode & 0o777,
    () => 0o600,
  );
  const temporary = `${target}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    await writeFile(temporary, JSON.stringify(config, null, "\t"), { mode: 0o600, flag: "wx" });
    await chmod(temporary, mode);
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw new Error(`saving config file: ${(error as Error).message}`);
  }
}
