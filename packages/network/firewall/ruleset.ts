/** How one address family of a bridge network meets the world (`com.docker.network.bridge.gateway_mode_*`). */
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

/** What the firewall must know of a bridge network. */
export interface FirewallNetwork {
  bridge: string;
  subnets4: string[];
  subnets6: string[];
  internal: boolean;
  icc: boolean;
  masquerade: boolean;
  mode4: GatewayMode;
  mode6: GatewayMode;
  /** Outgoing traffic gets these addresses of the host instead of the outgoing interface's own; empty for that. */
  hostAddress4: string;
  hostAddress6: string;
  /** Interfaces of the host from which published ports may be reached under the containers' own addresses. */
  trusted: string[];
  /** They may be so from all interfaces but bridges (`allow-direct-routing`). */
  direct: boolean;
  /** False (`ip6tables=false`): IPv6 passes unseen, but for internal networks, which stay shut. */
  rules6: boolean;
}

/**
 * The fixed part of the table: chains whose rules only look things up, and the empty sets and maps they look in. Networks
 * and ports are elements; their number costs a packet nothing. A port's element counts the connections that took it (a nat rule sees
 * only the first packet of each), so that a port nobody used can go without a look at the connection table.
 *
 * An `accept` of ours ends only our own chains: a `drop` in another table stands, whatever its priority. Hence nothing
 * here tries to let through what others drop (see `beside.ts` for Docker's and ufw's forward policy).
 *
 * `guard`: this daemon turned IP forwarding on. Then the host must not become a router between its own network cards:
 * what comes from one and goes to another is dropped. Virtual links (those with a kind) are left to their owners.
 */
export function skeleton(table: string, guard: boolean): string {
  return `table inet ${table}
delete table inet ${table}
table inet ${table} {
  map dnat4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; counter; }
  map dnat4_any { type inet_proto . inet_service : ipv4_addr . inet_service; counter; }
  map dnat6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; counter; }
  map dnat6_any { type inet_proto . inet_service : ipv6_addr . inet_service; counter; }
  map proxy6 { type ipv6_addr . inet_proto . inet_service : inet_service; }
  map proxy6_any { type inet_proto . inet_service : inet_service; }
  set relays { type inet_proto . inet_service; }
  set open4 { type ipv4_addr . inet_proto . inet_service; }
  set open6 { type ipv6_addr . inet_proto . inet_service; }
  set linked4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }
  set bridges { type ifname; }
  set trusted { type ifname . ifname; }
  set inside { type ifname . ifname; }
  map into4 { type ifname : verdict; }
  map into6 { type ifname : verdict; }
  map outof { type ifname : verdict; }
  set home4 { type ipv4_addr . ifname; flags interval; }
  set home6 { type ipv6_addr . ifname; flags interval; }
  set masq4 { type ipv4_addr; flags interval; }
  set masq6 { type ipv6_addr; flags interval; }
  map snat4 { type ipv4_addr : ipv4_addr; flags interval; }
  map snat6 { type ipv6_addr : ipv6_addr; flags interval; }

  chain raw {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop comment "route_localnet is for the host's own connections only"
  }
  chain input {
    type filter hook input priority filter; policy accept;
    meta nfproto ipv6 meta l4proto . th dport @relays jump relayed
  }
  chain relayed {
    ct status dnat accept
    drop comment "a relay's own port is nobody's business"
  }
  chain published {
    dnat ip to ip daddr . meta l4proto . th dport map @dnat4
    dnat ip to meta l4proto . th dport map @dnat4_any
    ip6 daddr ::1 jump proxied
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @dnat6
    dnat ip6 to meta l4proto . th dport map @dnat6_any
    meta nfproto ipv6 jump proxied
  }
  chain proxied {
    meta l4proto { tcp, udp } redirect to : ip6 daddr . meta l4proto . th dport map @proxy6
    meta l4proto { tcp, udp } redirect to : meta l4proto . th dport map @proxy6_any
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 return
    fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname @bridges ct status dnat jump hairpin
    ip saddr . oifname @home4 return
    ip6 saddr . oifname @home6 return
    snat ip to ip saddr map @snat4
    snat ip6 to ip6 saddr map @snat6
    ip saddr @masq4 masquerade
    ip6 saddr @masq6 masquerade
  }
  chain hairpin {
    ip saddr 127.0.0.0/8 masquerade
    ip saddr . oifname @home4 masquerade
    ip6 saddr . oifname @home6 masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname vmap @outof
    meta nfproto ipv4 oifname vmap @into4
    meta nfproto ipv6 oifname vmap @into6
${guard ? '    meta iifkind != "-" accept\n    meta oifkind != "-" accept\n    drop comment "no routing between network cards"\n' : ""}  }
  chain opened {
    ip daddr . meta l4proto . th dport @open4 accept
    ip6 daddr . meta l4proto . th dport @open6 accept
  }
  chain leave-internal {
    iifname . oifname @inside accept
    drop
  }
  chain enter-internal {
    iifname . oifname @inside accept
    drop
  }
  chain enter-nat {
    ct state established,related accept
    ct status dnat accept
    iifname . oifname @inside accept
    iifname . oifname @trusted jump opened
    ip saddr . ip daddr . meta l4proto . th dport @linked4 accept
    drop
  }
  chain enter-direct {
    ct state established,related accept
    ct status dnat accept
    iifname . oifname @inside accept
    iifname . oifname @trusted jump opened
    iifname != @bridges jump opened
    ip saddr . ip daddr . meta l4proto . th dport @linked4 accept
    drop
  }
  chain enter-routed {
    ct state established,related accept
    iifname . oifname @inside accept
    meta l4proto { icmp, icmpv6 } accept
    jump opened
    drop
  }
  chain enter-unprotected {
    ct state established,related accept
    ct status dnat accept
    iifname . oifname @inside accept
    iifname != @bridges accept
    drop
  }
}
`;
}

const ENTER: Record<GatewayMode, string> = {
  nat: "enter-nat",
  "nat-unprotected": "enter-unprotected",
  routed: "enter-routed",
  isolated: "enter-internal",
};

/** The elements a network has in the sets and maps, as `set: element`. */
export function networkElements(network: FirewallNetwork): [set: string, element: string][] {
  const bridge = JSON.stringify(network.bridge);
  const out: [string, string][] = [["bridges", bridge]];
  const enter = (mode: GatewayMode) => {
    if (network.internal) return "enter-internal";
    return mode === "nat" && network.direct ? "enter-direct" : ENTER[mode];
  };
  out.push(["into4", `${bridge} : jump ${enter(network.mode4)}`]);
  if (network.rules6 || network.internal) out.push(["into6", `${bridge} : jump ${enter(network.mode6)}`]);
  if (network.internal) out.push(["outof", `${bridge} : jump leave-internal`]);
  if (network.icc) out.push(["inside", `${bridge} . ${bridge}`]);
  for (const one of network.trusted) out.push(["trusted", `${JSON.stringify(one)} . ${bridge}`]);
  for (const [family, subnets, mode, address] of [
    [4, network.subnets4, network.mode4, network.hostAddress4],
    [6, network.subnets6, network.mode6, network.hostAddress6],
  ] as const) {
    if (family === 6 && !network.rules6) continue;
    for (const subnet of subnets) {
      out.push([`home${family}`, `${subnet} . ${bridge}`]);
      if (network.internal || !network.masquerade || mode === "routed" || mode === "isolated") continue;
      out.push(address === "" ? [`masq${family}`, subnet] : [`snat${family}`, `${subnet} : ${address}`]);
    }
  }
  return out;
}

/** nft commands that add or remove these elements. */
export function elementCommands(verb: "add" | "delete", table: string, elements: [string, string][]): string {
  return elements
    .map(([set, element]) => {
      // A map's element is removed by its key alone.
      const text = verb === "delete" && /^(?:into|outof|snat)/.test(set) ? element.split(" : ", 1)[0]! : element;
      return `${verb} element inet ${table} ${set} { ${text} }\n`;
    })
    .join("");
}
