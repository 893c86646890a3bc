import type { Nftables } from "@gantry/sys";

/**
 * Manners beside iptables. A packet must pass every table's forward hook, and Docker (and ufw) make iptables' FORWARD chain drop what
 * they do not know. So where `ip filter FORWARD` drops, it gets two rules for each of our bridges, as `iptables` itself would
 * write them: in DOCKER-USER, the chain that Docker keeps for others, where it is there, else at the head of FORWARD. They open nothing:
 * our own table still decides. Other rules are not touched, and ours are found by their comment.
 *
 * firewalld's table rejects by zone and cannot be passed this way: there the bridges must be put in a zone
 * (`firewall-cmd --zone=trusted --add-interface=gantry0`).
 */
export function besideIptables(nft: Nftables, table: string, bridges: string[], links: ReadonlySet<string>): void {
  const mark = `gantry:${table}`;
  let stale = "";
  for (const family of ["ip", "ip6"]) {
    const forward = list(nft, family, "FORWARD");
    if (forward === undefined) continue;
    const user = /jump DOCKER-USER/.test(forward) ? list(nft, family, "DOCKER-USER") : undefined;
    const home = user === undefined ? "FORWARD" : "DOCKER-USER";
    const wanted = forward.includes("policy drop") || /\b(?:drop|reject)\b/.test(forward) || user !== undefined;
    const rules = bridges.flatMap((bridge) => [`iifname "${bridge}"`, `oifname "${bridge}"`]);
    const missing = new Set(wanted ? rules : []);
    let commands = "";
    for (const [chain, text] of [
      ["FORWARD", forward],
      ["DOCKER-USER", user ?? ""],
    ] as const) {
      for (const line of text.split("\n")) {
        const match = /([io]ifname "([^"]+)").*comment "(gantry:[^"]+)" # handle (\d+)/.exec(line);
        if (match === null) continue;
        const [, rule = "", link = "", owner, handle] = match;
        const removal = `delete rule ${family} filter ${chain} handle ${handle}\n`;
        if (owner !== mark) {
          // Another engine's, which left without its bridge; should it come back it puts them in again.
          if (!links.has(link)) stale += removal;
        } else if (chain !== home || !missing.delete(rule)) commands += removal;
      }
    }
    for (const rule of missing) {
      commands += `insert rule ${family} filter ${home} ${rule} counter accept comment "${mark}"\n`;
    }
    if (commands !== "") nft.run(commands);
  }
  if (stale !== "") nft.run(stale);
}

function list(nft: Nftables, family: string, chain: string): string | undefined {
  try {
    return nft.run(`list chain ${family} filter ${chain}`, "handles");
  } catch {
    return undefined;
  }
}
