import { addressesOf, hostname, inAnyRange, LOOPBACK } from "./addresses.ts";
import type { RegistryConfig } from "./config.ts";
import { type HostTls, readCertificates, systemCertificates } from "./tls.ts";

/** A place that serves a registry's API. */
export interface Endpoint {
  /** Base URL without `/v2` and trailing slash. */
  url: string;
  tls?: HostTls;
  /** A mirror only serves pulls, and never sees the credentials of the registry it stands for. */
  mirror: boolean;
  /** The endpoint to use in its place where this one cannot be reached by HTTPS: the same host by plain HTTP. */
  plain?: Endpoint;
}

/** How a host may be talked to. */
export interface HostTrust {
  tls: HostTls;
  /** Whether plain HTTP is allowed. */
  plainAllowed: boolean;
}

/** Decides, host by host, what is trusted. Answers are kept for a short time. */
export class HostBook {
  readonly #config: () => RegistryConfig;
  readonly #known = new Map<string, { trust: Promise<HostTrust>; until: number; config: RegistryConfig }>();
  /** Hosts that answered by plain HTTP only, so that HTTPS is not tried first each time. */
  readonly #plain = new Map<string, number>();

  constructor(config: () => RegistryConfig) {
    this.#config = config;
  }

  /** The trust for `host[:port]` as it stands in a URL or reference. */
  trust(host: string): Promise<HostTrust> {
    const config = this.#config();
    const known = this.#known.get(host);
    if (known && known.until > Date.now() && known.config === config) return known.trust;
    const trust = decide(host, config);
    this.#known.set(host, { trust, until: Date.now() + 10_000, config });
    trust.catch(() => this.#known.delete(host));
    return trust;
  }

  /** The endpoints of a registry (`docker.io`, `ghcr.io`, `localhost:5000`), mirrors first unless `push`. */
  async endpoints(registry: string, push = false): Promise<Endpoint[]> {
    const config = this.#config();
    const endpoints: Endpoint[] = [];
    if (!push) {
      const mirrors = [
        ...(config.registries[registry]?.mirrors ?? []),
        ...(registry === "docker.io" ? config.registryMirrors : []),
      ];
      for (const mirror of new Set(mirrors)) {
        const url = new URL(mirror);
        const { tls } = await this.trust(url.host);
        endpoints.push({ url: mirror, tls: url.protocol === "https:" ? tls : undefined, mirror: true });
      }
    }
    const host = registry === "docker.io" ? "registry-1.docker.io" : registry;
    const { tls, plainAllowed } = await this.trust(host);
    const secure: Endpoint = { url: `https://${host}`, tls, mirror: false };
    if (plainAllowed) {
      secure.plain = { url: `http://${host}`, mirror: false };
      endpoints.push((this.#plain.get(host) ?? 0) > Date.now() ? secure.plain : secure);
    } else {
      endpoints.push(secure);
    }
    return endpoints;
  }

  /** Remembers for a minute that this host answers by plain HTTP. */
  answersPlain(host: string): void {
    this.#plain.set(host, Date.now() + 60_000);
  }
}

async function decide(host: string, config: RegistryConfig): Promise<HostTrust> {
  const listed = config.insecureRegistries.includes(host) || config.insecureRegistries.includes(hostname(host));
  const ranges = config.insecureRegistries.filter((entry) => /\/\d+$/.test(entry));
  const addresses = listed ? [] : await addressesOf(hostname(host));
  const insecure = listed || inAnyRange(addresses, ranges);
  if (insecure) return { tls: { rejectUnauthorized: false }, plainAllowed: true };
  const own = await readCertificates(config.certificateDirs, host);
  const loopback = inAnyRange(addresses, LOOPBACK);
  // A folder in certs.d is a wish to verify, on loopback too.
  if (loopback && !own) return { tls: { rejectUnauthorized: false }, plainAllowed: true };
  if (own) return { tls: own, plainAllowed: false };
  return { tls: { ca: await systemCertificates(), rejectUnauthorized: true }, plainAllowed: loopback };
}
