import { posix } from "node:path";
import {
  type ContainerConfig,
  type ContainerConfigRequest,
  type HealthcheckConfig,
  type ImageRunConfig,
  invalidParameter,
} from "@gantry/spec";
import { parseSignal } from "./signals.ts";

const MIN_DURATION = 1_000_000;

/** Refuses what Docker refuses in a container's portable configuration. */
export function validateContainerConfig(config: ContainerConfig): void {
  if (config.WorkingDir && !config.WorkingDir.startsWith("/")) {
    throw invalidParameter(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
  }
  if (config.StopSignal) parseSignal(config.StopSignal);
  for (const entry of config.Env ?? []) {
    if (entry === "" || entry.startsWith("=")) throw invalidParameter(`invalid environment variable: ${entry}`);
    if (entry.includes("\0")) throw invalidParameter("invalid environment variable: it contains a NUL byte");
  }
  for (const text of [
    ...(config.Cmd ?? []),
    ...(config.Entrypoint ?? []),
    config.User ?? "",
    config.WorkingDir ?? "",
  ]) {
    if (text.includes("\0")) throw invalidParameter("invalid argument: it contains a NUL byte");
  }
  // Both are written into /etc/hosts: a line each.
  if (config.Hostname && !isHostname(config.Hostname)) {
    throw invalidParameter(`invalid hostname format: ${config.Hostname}`);
  }
  if (config.Domainname && !isHostname(config.Domainname)) {
    throw invalidParameter(`invalid domainname format: ${config.Domainname}`);
  }
  if (config.Healthcheck) validateHealthcheck(config.Healthcheck);
}

/** What sethostname(2) takes, on one line. */
const isHostname = (text: string) => Buffer.byteLength(text) <= 64 && !/[\x00-\x1f\x7f]/.test(text);

/** Refuses durations below a millisecond and negative retries. */
export function validateHealthcheck(check: HealthcheckConfig): void {
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const value = check[field] ?? 0;
    if (value !== 0 && value < MIN_DURATION) throw invalidParameter(`${field} in Healthcheck cannot be less than 1ms`);
  }
  if ((check.Retries ?? 0) < 0) throw invalidParameter("Retries in Healthcheck cannot be negative");
}

const list = (value: string[] | string | null | undefined): string[] | null =>
  value === null || value === undefined ? null : typeof value === "string" ? [value] : value;

/** The request's configuration with commands as lists. */
export function normaliseConfig(request: ContainerConfigRequest): ContainerConfig {
  return { ...request, Cmd: list(request.Cmd), Entrypoint: list(request.Entrypoint), Shell: list(request.Shell) };
}

/** Fills in from the image what the user left out (Docker's merge: environment and labels by key, command as a pair). */
export function mergeImageConfig(config: ContainerConfig, image: ImageRunConfig | undefined): void {
  if (image === undefined) return;
  if (!config.User) config.User = image.User ?? "";
  config.ExposedPorts = { ...(image.ExposedPorts as Record<string, Record<string, never>>), ...config.ExposedPorts };
  const env = config.Env ?? [];
  const names = new Set(env.map((entry) => entry.split("=", 1)[0]));
  config.Env = [...env, ...(image.Env ?? []).filter((entry) => !names.has(entry.split("=", 1)[0]))];
  config.Labels = { ...image.Labels, ...config.Labels };
  if ((config.Entrypoint?.length ?? 0) === 0 && config.Entrypoint?.[0] !== "") {
    if ((config.Cmd?.length ?? 0) === 0) config.Cmd = image.Cmd ?? null;
    if (config.Entrypoint === null || config.Entrypoint === undefined) config.Entrypoint = image.Entrypoint ?? null;
  }
  // `--entrypoint ""` clears the image's.
  if (config.Entrypoint?.length === 1 && config.Entrypoint[0] === "") config.Entrypoint = null;
  if (!config.WorkingDir) config.WorkingDir = image.WorkingDir ?? "";
  if (config.WorkingDir) config.WorkingDir = posix.normalize(config.WorkingDir).replace(/(.)\/+$/, "$1");
  config.Volumes = { ...(image.Volumes as Record<string, Record<string, never>>), ...config.Volumes };
  if (!config.StopSignal && image.StopSignal) config.StopSignal = image.StopSignal;
  if ((config.StopTimeout ?? null) === null && image.StopTimeout !== undefined) config.StopTimeout = image.StopTimeout;
  if (config.Healthcheck === undefined || config.Healthcheck === null) {
    if (image.Healthcheck) config.Healthcheck = { ...image.Healthcheck };
  } else if (image.Healthcheck) {
    const check = config.Healthcheck;
    const base = image.Healthcheck;
    if ((check.Test?.length ?? 0) === 0) check.Test = base.Test ?? null;
    check.Interval ||= base.Interval ?? 0;
    check.Timeout ||= base.Timeout ?? 0;
    check.StartPeriod ||= base.StartPeriod ?? 0;
    check.StartInterval ||= base.StartInterval ?? 0;
    check.Retries ||= base.Retries ?? 0;
  }
  if ((config.Shell?.length ?? 0) === 0 && image.Shell) config.Shell = image.Shell;
  if (Object.keys(config.ExposedPorts ?? {}).length === 0) delete config.ExposedPorts;
  if (Object.keys(config.Volumes ?? {}).length === 0) config.Volumes = null;
}
