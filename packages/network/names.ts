import { hostsFile, type ResolvConf, resolvConf } from "./files.ts";
import { bare, type Endpoint, type Sandbox } from "./model.ts";
import type { Networks } from "./networks.ts";
import type { Resolver } from "./resolver.ts";

/** What containers call each other: their files, and what the resolver is told about them. */
export class Names {
  constructor(
    private readonly networks: Networks,
    private readonly resolver: Resolver | undefined,
    /** What `host-gateway` stands for in an extra host. */
    private readonly hostGateway: () => string,
    private readonly sandboxes: () => Iterable<Sandbox>,
  ) {}

  /** Names a container is found by on a user-defined network; `null` where there are none. */
  dnsNames(sandbox: Sandbox, endpoint: Endpoint): string[] | null {
    const network = this.networks.get(endpoint.networkId);
    if (network.predefined) return null;
    const short = sandbox.containerId.slice(0, 12);
    const names = [sandbox.name, ...(endpoint.settings.Aliases ?? []), short, sandbox.hostname];
    return [...new Set(names.filter((name) => name !== ""))];
  }

  /** Whether the container has the embedded resolver: it is, or was since its start, on a user-defined network. */
  usesResolver(sandbox: Sandbox): boolean {
    if (this.resolver === undefined || sandbox.mode !== "network") return false;
    if (sandbox.embedded === true) return true;
    return sandbox.endpoints.some((endpoint) => !this.networks.get(endpoint.networkId).predefined);
  }

  /** Text of the container's /etc/resolv.conf, and what the resolver is to do. */
  resolvConf(sandbox: Sandbox): ResolvConf {
    return resolvConf(
      sandbox,
      this.usesResolver(sandbox),
      sandbox.endpoints.some((endpoint) => endpoint.ipv6 !== ""),
    );
  }

  /** Tells the resolver about a container whose namespace is open, where it uses it; `again` where it was told since the daemon's start. */
  async start(sandbox: Sandbox, namespaceFd: number, again = false): Promise<void> {
    const { resolver, networks } = this;
    if (resolver === undefined || !this.usesResolver(sandbox)) return;
    const known = again && sandbox.embedded === true;
    sandbox.embedded = true;
    const { upstreams, options, search } = this.resolvConf(sandbox);
    for (const endpoint of sandbox.endpoints) this.register(sandbox, endpoint);
    const told = {
      containerId: sandbox.containerId,
      namespaceFd,
      upstreams,
      internal: sandbox.endpoints.every((endpoint) => networks.get(endpoint.networkId).internal),
      options,
      search,
      links: linkMap(sandbox.links),
    };
    if (known) resolver.changeSandbox(told);
    else await resolver.addSandbox(told);
  }

  /** Tells the resolver what the container is called on a network. */
  register(sandbox: Sandbox, endpoint: Endpoint): void {
    const network = this.networks.get(endpoint.networkId);
    const names = this.dnsNames(sandbox, endpoint);
    if (names === null) return;
    this.resolver?.addEndpoint({
      containerId: sandbox.containerId,
      networkId: network.id,
      networkName: network.name,
      names,
      ipv4: endpoint.ipv4 === "" ? [] : [bare(endpoint.ipv4)],
      ipv6: endpoint.ipv6 === "" ? [] : [bare(endpoint.ipv6)],
      links: linkMap(endpoint.settings.Links ?? []),
    });
  }

  /** Text of the container's /etc/hosts; empty where it shares another's. */
  hosts(sandbox: Sandbox): string {
    if (sandbox.mode === "container") return "";
    // The host's own file, unless there is something to add.
    if (sandbox.mode === "host" && sandbox.extraHosts.length === 0) return "";
    return hostsFile(sandbox, this.legacyLinks(sandbox), this.hostGateway());
  }

  /** On the default bridge a link is lines in /etc/hosts. */
  private legacyLinks(sandbox: Sandbox): [string, string][] {
    const out: [string, string][] = [];
    for (const { alias, other, theirs } of this.links(sandbox)) {
      const names = [...new Set([alias, other.hostname, other.name])].filter((name) => name !== "").join(" ");
      for (const address of [theirs.ipv4, theirs.ipv6]) if (address !== "") out.push([bare(address), names]);
    }
    return out;
  }

  /** The containers that one is linked to, with both ends on the default bridge. */
  links(sandbox: Sandbox): { alias: string; other: Sandbox; mine: Endpoint; theirs: Endpoint }[] {
    return sandbox.links.flatMap((link) => {
      const [target = "", alias = target] = link.split(":");
      const other = [...this.sandboxes()].find((one) => one.name === target || one.containerId === target);
      for (const theirs of other?.endpoints ?? []) {
        const mine = sandbox.endpoints.find((one) => one.networkId === theirs.networkId);
        if (mine !== undefined && this.networks.get(mine.networkId).predefined)
          return [{ alias, other: other!, mine, theirs }];
      }
      return [];
    });
  }
}

function linkMap(links: string[]): Record<string, string> {
  return Object.fromEntries(
    links.map((link) => {
      const [target = "", alias = target] = link.split(":");
      return [alias, target];
    }),
  );
}
