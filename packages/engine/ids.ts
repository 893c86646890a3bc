import { randomFillSync } from "node:crypto";

let pool = Buffer.alloc(0);
let at = 0;

/** A new container, exec or volume ID: 64 hex digits, whose first twelve are not all decimal (as Docker's are not). */
export function newId(): string {
  for (;;) {
    if (at + 32 > pool.length) {
      pool = Buffer.alloc(4096);
      randomFillSync(pool);
      at = 0;
    }
    const id = pool.toString("hex", at, at + 32);
    at += 32;
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** The first twelve digits, as people see it. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}
