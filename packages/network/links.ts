import type { SetElement } from "@gantry/sys";
import { elementKey, linkElement } from "./firewall/elements.ts";
import type { Firewall } from "./firewall/firewall.ts";
import { bare, type Sandbox } from "./model.ts";
import type { Names } from "./names.ts";
import { parsePort } from "./ports/bindings.ts";

/**
 * Legacy links as openings of the firewall: a container reaches the exposed ports of those it is linked to even where the default bridge
 * keeps its containers apart. Where it does not, the openings change nothing.
 */
export class Links {
  private present = new Map<string, SetElement>();

  constructor(
    private readonly names: Names,
    private readonly firewall: Firewall,
    private readonly sandboxes: () => Iterable<Sandbox>,
  ) {}

  /** Makes the openings those that the present containers imply. To be called whenever one has come or gone. */
  settle(): void {
    const { add, remove } = this.difference();
    if (add.length + remove.length > 0) this.firewall.changePorts(add, remove);
  }

  /** As `settle` without writing, for the rebuild that follows. */
  stage(): void {
    this.firewall.stage([], this.difference().add);
  }

  private difference(): { add: SetElement[]; remove: SetElement[] } {
    const wanted = new Map(this.wanted().map((element) => [elementKey(element), element]));
    const before = this.present;
    this.present = wanted;
    return {
      add: [...wanted].flatMap(([key, element]) => (before.has(key) ? [] : [element])),
      remove: [...before].flatMap(([key, element]) => (wanted.has(key) ? [] : [element])),
    };
  }

  private wanted(): SetElement[] {
    const out: SetElement[] = [];
    for (const sandbox of this.sandboxes()) {
      if (sandbox.links.length === 0 || sandbox.pid === 0) continue;
      for (const { other, mine, theirs } of this.names.links(sandbox)) {
        if (other.pid === 0 || mine.ipv4 === "" || theirs.ipv4 === "") continue;
        for (const key of other.exposed) {
          const { port, protocol } = parsePort(key);
          out.push(linkElement(bare(mine.ipv4), bare(theirs.ipv4), protocol, port));
        }
      }
    }
    return out;
  }
}
