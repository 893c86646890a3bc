import { invalidParameter } from "@gantry/spec";

/** `--chmod`: an octal number, or symbolic clauses in chmod(1)'s form. */
export type ModeChange = { octal: number } | { clauses: Clause[] };

interface Clause {
  who: string;
  op: string;
  perms: string;
}

/** Throws invalidParameter. */
export function parseMode(text: string): ModeChange {
  if (/^[0-7]{1,5}$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return { octal: Number.parseInt(text, 8) };
  const clauses = text.split(",").flatMap((part) => {
    const match = /^([ugoa]*)((?:[-+=][rwxXst]*)+)$/.exec(part);
    if (!match)
      throw invalidParameter(`invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`);
    return [...match[2]!.matchAll(/([-+=])([rwxXst]*)/g)].map(([, op, perms]) => ({
      who: match[1] === "" || match[1]!.includes("a") ? "ugo" : match[1]!,
      op: op!,
      perms: perms!,
    }));
  });
  return { clauses };
}

/** The permission bits after the change. */
export function applyMode(change: ModeChange, mode: number, directory: boolean): number {
  if ("octal" in change) return change.octal;
  let bits = mode & 0o7777;
  for (const { who, op, perms } of change.clauses) {
    let mask = 0;
    let clear = 0;
    for (const [letter, shift, special] of [
      ["u", 6, 0o4000],
      ["g", 3, 0o2000],
      ["o", 0, 0],
    ] as const) {
      if (!who.includes(letter)) continue;
      clear |= (7 << shift) | special;
      if (perms.includes("r")) mask |= 4 << shift;
      if (perms.includes("w")) mask |= 2 << shift;
      if (perms.includes("x") || (perms.includes("X") && (directory || bits & 0o111))) mask |= 1 << shift;
      if (perms.includes("s")) mask |= special;
    }
    if (perms.includes("t")) mask |= 0o1000;
    if (op === "+") bits |= mask;
    else if (op === "-") bits &= ~mask;
    else bits = (bits & ~clear) | mask;
  }
  return bits;
}
