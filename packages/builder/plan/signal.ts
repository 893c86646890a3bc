import { constants } from "node:os";
import { invalidParameter } from "@gantry/spec";

/** Throws invalidParameter where the text names no signal: "SIGTERM", "term", "15", "SIGRTMIN+3". */
export function checkSignal(text: string): void {
  if (/^\d+$/.test(text)) {
    if (Number(text) > 0 && Number(text) <= 64) return;
  } else {
    const name = text.toUpperCase().replace(/^SIG/, "");
    if (Object.hasOwn(constants.signals, `SIG${name}`)) return;
    if (/^RTMIN(\+([0-9]|1[0-5]))?$/.test(name) || /^RTMAX(-([0-9]|1[0-4]))?$/.test(name)) return;
  }
  throw invalidParameter(`invalid signal: ${text}`);
}
