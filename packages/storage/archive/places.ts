import { unavailable } from "@gantry/spec";
import { breakRing, type RingMemory, ringPosition } from "./ring.ts";

/** Streams that wait for a place; more than this are refused. */
const MAX_WAITING = 1024;

/** A stream that has a thread to itself. */
export interface Place {
  readonly rings: readonly RingMemory[];
  /** How far it was when it was last looked at, and since when it is there (performance.now()). */
  at: number;
  since: number;
  /** It was broken off in favour of those who wait. */
  broken: boolean;
}

/**
 * So many streams at a time have a thread; the others wait. While any waits, a stream that stands still for longer than
 * `patience` milliseconds (its client reads nothing, or sends nothing) is broken off, so that a handful of dead clients holds up nobody
 * for good.
 */
export class StreamPlaces {
  private readonly taken = new Set<Place>();
  private readonly queue: (() => void)[] = [];
  private watch: ReturnType<typeof setInterval> | null = null;

  constructor(
    private readonly most: number,
    private readonly patience: number,
  ) {}

  /** Resolves once there is room. Throws unavailable where too many wait already. */
  enter(rings: readonly RingMemory[]): Promise<Place> {
    const place: Place = { rings, at: 0, since: 0, broken: false };
    if (this.taken.size < this.most) {
      this.taken.add(place);
      return Promise.resolve(place);
    }
    if (this.queue.length >= MAX_WAITING) throw unavailable("too many archive streams at the same time");
    return new Promise((resolve) => {
      this.queue.push(() => {
        this.taken.add(place);
        resolve(place);
      });
      this.lookOn();
    });
  }

  leave(place: Place): void {
    this.taken.delete(place);
    this.queue.shift()?.();
    if (this.queue.length > 0 || this.watch === null) return;
    clearInterval(this.watch);
    this.watch = null;
  }

  private lookOn(): void {
    if (this.watch !== null) return;
    const now = performance.now();
    for (const place of this.taken) Object.assign(place, { at: positionOf(place), since: now });
    this.watch = setInterval(() => this.look(), this.patience / 4);
    this.watch.unref?.();
  }

  private look(): void {
    const now = performance.now();
    for (const place of this.taken) {
      const at = positionOf(place);
      if (at !== place.at || place.since === 0) Object.assign(place, { at, since: now });
      else if (!place.broken && now - place.since >= this.patience) {
        place.broken = true;
        for (const ring of place.rings) breakRing(ring);
      }
    }
  }
}

const positionOf = (place: Place): number => place.rings.reduce((sum, ring) => sum + ringPosition(ring), 0);
