import type { Digest } from "@gantry/spec";
import type { Lease } from "./contract.ts";

/**
 * What must survive a collect although nothing refers to it yet. Leases live in memory: they guard work in progress of
 * this process, and after a restart nothing is collected before a job had the chance to resume.
 */
export class Leases {
  private held = new Set<Set<Digest>>();
  private passive = new Set<Set<Digest>>();

  /**
   * A lease holds what is added to it, and, unless it is passive, all that any store reports by `note` while it is open.
   */
  open(options: { passive?: boolean } = {}): Lease {
    const digests = new Set<Digest>();
    const group = options.passive ? this.passive : this.held;
    group.add(digests);
    return {
      add: (digest) => {
        digests.add(digest);
      },
      release: () => {
        group.delete(digests);
      },
    };
  }

  /** Something was just ingested, unpacked or found present. */
  note(digest: Digest): void {
    for (const digests of this.held) digests.add(digest);
  }

  holds(digest: Digest): boolean {
    for (const group of [this.held, this.passive]) for (const digests of group) if (digests.has(digest)) return true;
    return false;
  }
}
