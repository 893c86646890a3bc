import { Nftables, RouteNetlink } from "@gantry/sys";

/**
 * Takes away what an engine of one's own leaves on purpose when it ends, as Docker does: its default bridge, and its
 * firewall table where it turned forwarding on.
 */
export function sweepBridge(bridge: string): void {
  const netlink = RouteNetlink.open();
  const link = netlink.link(bridge);
  if (link) netlink.run(netlink.batch().deleteLink(link.index));
  netlink.close();
  const nft = new Nftables();
  // add + delete: no error where it is gone already.
  nft.run(`add table inet gantry-${bridge}\ndelete table inet gantry-${bridge}`);
  nft.close();
}
