import { constants } from "node:os";
import { invalidParameter } from "@gantry/spec";

const NUMBERS = new Map<string, number>(Object.entries(constants.signals).map(([name, value]) => [name, value]));
NUMBERS.set("SIGCLD", 17);
for (let i = 0; i <= 15; i++) NUMBERS.set(`SIGRTMIN+${i}`, 34 + i);
for (let i = 0; i <= 14; i++) NUMBERS.set(`SIGRTMAX-${i}`, 64 - i);
NUMBERS.set("SIGRTMIN", 34);
NUMBERS.set("SIGRTMAX", 64);

/** "KILL", "sigkill" or "9" as a number. Throws invalidParameter `invalid signal: x`. */
export function parseSignal(text: string): number {
  if (/^\d{1,3}$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= 64) return number;
    throw invalidParameter(`invalid signal: ${text}`);
  }
  const upper = text.toUpperCase();
  const number = NUMBERS.get(upper.startsWith("SIG") ? upper : `SIG${upper}`);
  if (number === undefined) throw invalidParameter(`invalid signal: ${text}`);
  return number;
}
