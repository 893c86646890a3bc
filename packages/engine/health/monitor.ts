import type { Health } from "@gantry/spec";
import type { Container } from "../containers/container.ts";
import type { Engine } from "../engine.ts";
import { now } from "../time.ts";
import { runProbe } from "./probe.ts";

const DEFAULT_NS = 30e9;
const DEFAULT_START_INTERVAL_NS = 5e9;
const DEFAULT_RETRIES = 3;
const KEPT = 5;

/** Begins the health checks of a container that has them; they end with `container.stopHealth`. */
export function startHealth(engine: Engine, container: Container, keep?: Health): void {
  container.stopHealth?.();
  container.stopHealth = null;
  const past = container.state.health?.Log ?? [];
  delete container.state.health;
  const check = container.record.config.Healthcheck;
  const test = check?.Test ?? [];
  if (!check || test.length === 0 || test[0] === "NONE") return;
  const command = probeCommand(test, container.record.config.Shell ?? null);
  if (command === null) return;
  // What was found in a run before stays to be read.
  const health: Health = keep ?? { Status: "starting", FailingStreak: 0, Log: past };
  container.state.health = health;
  const ms = (ns: number | null | undefined, fallback: number) => (ns || fallback) / 1e6;
  const interval = ms(check.Interval, DEFAULT_NS);
  const startInterval = ms(check.StartInterval, DEFAULT_START_INTERVAL_NS);
  const timeout = ms(check.Timeout, DEFAULT_NS);
  const startPeriod = (check.StartPeriod ?? 0) / 1e6;
  const retries = check.Retries || DEFAULT_RETRIES;
  const began = performance.now();
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const inStartPeriod = () => health.Status === "starting" && performance.now() - began < startPeriod;
  const schedule = () => {
    if (!stopped)
      timer = setTimeout(() => void probe(), inStartPeriod() ? Math.min(startInterval, interval) : interval);
  };
  const probe = async () => {
    if (container.paused) return schedule();
    const start = now();
    const early = inStartPeriod();
    const result = await runProbe(engine, container, command, timeout);
    if (stopped) return;
    record(
      container,
      health,
      { Start: start, End: now(), ExitCode: result.exitCode, Output: result.output },
      retries,
      early,
    );
    schedule();
  };
  container.stopHealth = () => {
    stopped = true;
    clearTimeout(timer);
  };
  schedule();
}

function record(
  container: Container,
  health: Health,
  result: NonNullable<Health["Log"]>[number],
  retries: number,
  early: boolean,
): void {
  const before = health.Status;
  health.Log = [...(health.Log ?? []), result].slice(-KEPT);
  if (result.ExitCode === 0) {
    health.FailingStreak = 0;
    health.Status = "healthy";
  } else if (!early) {
    health.FailingStreak++;
    if (health.FailingStreak >= retries) health.Status = "unhealthy";
  }
  container.saveState();
  if (health.Status !== before) container.emit(`health_status: ${health.Status}`);
}

function probeCommand(test: string[], shell: string[] | null): string[] | null {
  const [kind, ...rest] = test;
  if (kind === "CMD") return rest.length > 0 ? rest : null;
  if (kind === "CMD-SHELL") return [...(shell ?? ["/bin/sh", "-c"]), rest.join(" ")];
  return null;
}
