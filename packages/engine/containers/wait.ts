import { invalidParameter } from "@gantry/spec";
import type { Container, ExitNotice } from "./container.ts";

export type WaitCondition = "not-running" | "next-exit" | "removed";

export function parseWaitCondition(text: string | undefined): WaitCondition {
  const condition = text || "not-running";
  if (condition !== "not-running" && condition !== "next-exit" && condition !== "removed") {
    throw invalidParameter(`invalid condition: "${condition}"`);
  }
  return condition;
}

/** Resolves when the container meets the condition; null when the signal fires first. */
export async function waitContainer(
  container: Container,
  condition: WaitCondition,
  signal?: AbortSignal,
): Promise<ExitNotice | null> {
  if (condition === "not-running") {
    await container.settled();
    if (!container.running && container.state.status !== "restarting") return { exitCode: container.state.exitCode };
  }
  return new Promise((resolve) => {
    const listen = condition === "removed" ? container.onRemoval.bind(container) : container.onExit.bind(container);
    const stop = listen((notice) => {
      signal?.removeEventListener("abort", aborted);
      resolve(notice);
    });
    const aborted = () => {
      stop();
      resolve(null);
    };
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted === true) aborted();
  });
}
