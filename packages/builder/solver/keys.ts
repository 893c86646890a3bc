/** Keys change whenever what a step does changes. */
const KEY_VERSION = "gantry-1";

/** The cache key of a step: a digest over all that makes a difference to it. */
export function keyOf(...parts: unknown[]): string {
  return new Bun.CryptoHasher("sha256").update(JSON.stringify([KEY_VERSION, ...parts])).digest("hex");
}

let last = 0n;

/** Now, RFC 3339 with nanoseconds; no two the same, so that images made in one moment differ. */
export function timestamp(): string {
  let now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  if (now <= last) now = last + 1n;
  last = now;
  const seconds = new Date(Number(now / 1000000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(now % 1000000000n).padStart(9, "0")}Z`;
}
