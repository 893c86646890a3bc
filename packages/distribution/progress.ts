import type { ProgressMessage } from "@gantry/spec";
import type { LayerEvent } from "./layer.ts";

export type Emit = (message: ProgressMessage) => void;

/** Milliseconds between two lines about the same layer's bytes. */
const INTERVAL = 100;

/** Shortened digest as Docker shows it: twelve hex digits. */
export function shortDigest(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1).slice(0, 12);
}

/** A bar of the kind older clients print from the `progress` field: `[=====>    ]  1.05MB/2.1MB`. */
export function progressBar(current: number, total: number): string {
  if (total <= 0) return `${humanSize(current).padStart(8)}`;
  const filled = Math.min(50, Math.floor((current / total) * 50));
  const bar = filled >= 50 ? "=".repeat(50) + ">" : "=".repeat(filled) + ">" + " ".repeat(50 - filled);
  return `[${bar}] ${humanSize(current).padStart(8)}/${humanSize(total)}`;
}

/** Four significant digits in decimal units: `1.234MB`. */
export function humanSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

/** One line with numbers. */
export function amount(id: string, status: string, current: number, total: number): ProgressMessage {
  return { status, progressDetail: { current, total }, progress: progressBar(current, total), id };
}

/** One line without. */
export function step(id: string, status: string): ProgressMessage {
  return { status, progressDetail: {}, id };
}

/** Lets a line about bytes through ten times a second, and the last one of a run always. */
export function throttled(emit: Emit): (id: string, status: string, current: number, total: number) => void {
  let last = 0;
  let lastStatus = "";
  return (id, status, current, total) => {
    const now = performance.now();
    if (status === lastStatus && current < total && now - last < INTERVAL) return;
    last = now;
    lastStatus = status;
    emit(amount(id, status, current, total));
  };
}

/** Puts what happens to a layer in Docker's words. */
export function layerProgress(id: string, emit: Emit): (event: LayerEvent) => void {
  const bytes = throttled(emit);
  let verified = false;
  return (event) => {
    switch (event.state) {
      case "waiting":
        return emit(step(id, "Waiting"));
      case "downloading":
        return bytes(id, "Downloading", event.current, event.total);
      case "retrying":
        return emit(step(id, `Retrying in ${event.seconds} second${event.seconds === 1 ? "" : "s"}`));
      case "verifying":
        return emit(step(id, "Verifying Checksum"));
      case "downloaded":
        if (!verified) emit(step(id, "Download complete"));
        verified = true;
        return;
      case "extracting":
        return bytes(id, "Extracting", event.current, event.total);
      case "done":
        return emit(step(id, "Pull complete"));
    }
  };
}
