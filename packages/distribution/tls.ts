import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { invalidParameter } from "@gantry/spec";

/** TLS settings for one host. `ca` holds everything trusted, absent means the defaults of the runtime. */
export interface HostTls {
  ca?: string[];
  cert?: string;
  key?: string;
  rejectUnauthorized: boolean;
}

const SYSTEM_BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/ssl/cert.pem",
];
const MAX_FILES = 100;

let system: Promise<string[]> | undefined;

/** The CAs of the system: its bundle where there is one, else Mozilla's as the runtime ships them. Read once. */
export function systemCertificates(): Promise<string[]> {
  system ??= (async () => {
    for (const path of [process.env["SSL_CERT_FILE"], ...SYSTEM_BUNDLES]) {
      const text = path ? await readFile(path, "utf8").catch(() => "") : "";
      if (text.includes("-----BEGIN CERTIFICATE-----")) return [text];
    }
    return [...rootCertificates];
  })();
  return system;
}

/**
 * Reads `<dir>/<host[:port]>/`: `*.crt` are CAs, `*.cert` with its `*.key` a client certificate (the first pair is
 * used), as Docker's certs.d. Undefined where no folder is there. Throws invalidParameter in Docker's words for a
 * certificate without key or the other way round.
 */
export async function readCertificates(dirs: readonly string[], host: string): Promise<HostTls | undefined> {
  if (host.includes("/") || host === ".." || host === ".") return undefined;
  for (const base of dirs) {
    const dir = join(base, host);
    const names = (await readdir(dir).catch(() => undefined))?.sort().slice(0, MAX_FILES);
    if (!names) continue;
    const own: string[] = [];
    const tls: HostTls = { rejectUnauthorized: true };
    for (const name of names) {
      if (name.endsWith(".crt")) own.push(await readFile(join(dir, name), "utf8"));
      if (name.endsWith(".cert")) {
        const key = name.slice(0, -".cert".length) + ".key";
        if (!names.includes(key)) {
          throw invalidParameter(
            `missing key ${key} for client certificate ${name}. CA certificates must use the extension .crt`,
          );
        }
        tls.cert ??= await readFile(join(dir, name), "utf8");
        tls.key ??= await readFile(join(dir, key), "utf8");
      }
      if (name.endsWith(".key") && !names.includes(name.slice(0, -".key".length) + ".cert")) {
        throw invalidParameter(`missing client certificate ${name.slice(0, -4)}.cert for key ${name}`);
      }
    }
    if (own.length > 0) tls.ca = [...(await systemCertificates()), ...own];
    return tls;
  }
  return undefined;
}
