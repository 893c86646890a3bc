import { invalidParameter } from "@gantry/spec";

/** What `daemon.json` says about registries. */
export interface RegistryConfig {
  /** `insecure-registries`: host[:port] or CIDR; HTTPS without verification there, then plain HTTP. */
  insecureRegistries: string[];
  /** `registry-mirrors`: base URLs tried before Docker Hub. */
  registryMirrors: string[];
  /** `registries`: `{"ghcr.io": {"mirrors": ["https://mirror.example"]}}`, tried in order before the registry itself. */
  registries: Record<string, { mirrors: string[] }>;
  /** `max-concurrent-downloads`, 3. */
  maxConcurrentDownloads: number;
  /** `max-concurrent-uploads`, 5. */
  maxConcurrentUploads: number;
  /** `max-download-attempts`, 5. */
  maxDownloadAttempts: number;
  /** Folders that hold `<host[:port]>/{*.crt,*.cert,*.key}`, first found wins. */
  certificateDirs: string[];
  /** `allow-nondistributable-artifacts`: registries that foreign layers are pushed to all the same. */
  allowNondistributable: string[];
  /** Milliseconds without a byte after which a transfer counts as stalled. */
  stallTimeout: number;
  /** First wait before a retry, in milliseconds. */
  retryDelay: number;
}

export const DEFAULT_REGISTRY_CONFIG: RegistryConfig = {
  insecureRegistries: [],
  registryMirrors: [],
  registries: {},
  maxConcurrentDownloads: 3,
  maxConcurrentUploads: 5,
  maxDownloadAttempts: 5,
  certificateDirs: ["/etc/gantry/certs.d", "/etc/docker/certs.d"],
  allowNondistributable: [],
  stallTimeout: 30_000,
  retryDelay: 500,
};

/**
 * The registry part of a parsed `daemon.json`; other keys are left alone. Throws invalidParameter, in Docker's words
 * where Docker has some, for a mirror that is no base URL or a value of the wrong kind.
 */
export function readRegistryConfig(json: Record<string, unknown>): RegistryConfig {
  const config: RegistryConfig = { ...DEFAULT_REGISTRY_CONFIG };
  config.insecureRegistries = list(json, "insecure-registries").map((entry) => checkInsecure(entry));
  config.registryMirrors = list(json, "registry-mirrors").map(checkMirror);
  config.allowNondistributable = list(json, "allow-nondistributable-artifacts");
  config.maxConcurrentDownloads = count(json, "max-concurrent-downloads", config.maxConcurrentDownloads);
  config.maxConcurrentUploads = count(json, "max-concurrent-uploads", config.maxConcurrentUploads);
  config.maxDownloadAttempts = count(json, "max-download-attempts", config.maxDownloadAttempts);
  const registries = json["registries"];
  if (registries !== undefined) {
    if (!isObject(registries)) throw invalidParameter("invalid registries: not an object");
    config.registries = {};
    for (const [host, entry] of Object.entries(registries)) {
      if (!isObject(entry)) throw invalidParameter(`invalid registries entry for ${host}: not an object`);
      const name = host === "index.docker.io" ? "docker.io" : host;
      config.registries[name] = { mirrors: list(entry, "mirrors").map(checkMirror) };
    }
  }
  return config;
}

/** A mirror's base URL without trailing slash. */
export function checkMirror(mirror: string): string {
  const bad = (why: string) => invalidParameter(`invalid mirror: ${why}`);
  let url: URL;
  try {
    url = new URL(mirror);
  } catch {
    throw bad(`${JSON.stringify(mirror)} is not a valid URI`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw bad(
      `unsupported scheme ${JSON.stringify(url.protocol.slice(0, -1))} in ${JSON.stringify(mirror)}: must use either 'https://' or 'http://'`,
    );
  }
  if (url.search || url.hash) throw bad(`query or fragment at end of the URI ${JSON.stringify(mirror)}`);
  if (url.username || url.password) throw bad("username/password not allowed in URI");
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function checkInsecure(entry: string): string {
  const text = entry.trim();
  if (/^https?:\/\//i.test(text)) {
    throw invalidParameter(
      `insecure registry ${text} should not contain '${/^https:/i.test(text) ? "https" : "http"}://'`,
    );
  }
  if (text === "" || text.startsWith("-") || /[\s?#@]/.test(text)) {
    throw invalidParameter(`insecure registry ${JSON.stringify(text)} is not valid`);
  }
  return text === "index.docker.io" ? "docker.io" : text;
}

function list(json: Record<string, unknown>, key: string): string[] {
  const value = json[key];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.some((entry) => typeof entry !== "string")) {
    throw invalidParameter(`invalid ${key}: not a list of strings`);
  }
  return value;
}

function count(json: Record<string, unknown>, key: string, byDefault: number): number {
  const value = json[key];
  if (value === undefined || value === null) return byDefault;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
    const what = key.replace("max-", "max ").replaceAll("-", " ");
    throw invalidParameter(`invalid ${what}: ${value}`);
  }
  return value === 0 ? byDefault : value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
