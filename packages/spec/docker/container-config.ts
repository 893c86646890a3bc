import { type Static, Type } from "@sinclair/typebox";
import { maybe, StringMap, StringSet, Strings } from "./schema.ts";

/** A health check; durations in nanoseconds, 0 to inherit. `Test`: [] inherit, NONE, CMD …, CMD-SHELL …. */
export const HealthcheckConfig = Type.Object({
  Test: maybe(Strings),
  Interval: maybe(Type.Integer()),
  Timeout: maybe(Type.Integer()),
  StartPeriod: maybe(Type.Integer()),
  StartInterval: maybe(Type.Integer()),
  Retries: maybe(Type.Integer()),
});
export type HealthcheckConfig = Static<typeof HealthcheckConfig>;

/** Go's `strslice`: a list, or one string that stands for a list of one. */
export const StringSlice = Type.Union([Strings, Type.String()]);
export type StringSlice = Static<typeof StringSlice>;

const portableFields = {
  Hostname: maybe(Type.String()),
  Domainname: maybe(Type.String()),
  User: maybe(Type.String()),
  AttachStdin: maybe(Type.Boolean()),
  AttachStdout: maybe(Type.Boolean()),
  AttachStderr: maybe(Type.Boolean()),
  ExposedPorts: maybe(StringSet),
  Tty: maybe(Type.Boolean()),
  OpenStdin: maybe(Type.Boolean()),
  StdinOnce: maybe(Type.Boolean()),
  Env: maybe(Strings),
  Healthcheck: maybe(HealthcheckConfig),
  ArgsEscaped: maybe(Type.Boolean()),
  Image: maybe(Type.String()),
  Volumes: maybe(StringSet),
  WorkingDir: maybe(Type.String()),
  NetworkDisabled: maybe(Type.Boolean()),
  /** Up to API 1.44. */
  MacAddress: maybe(Type.String()),
  OnBuild: maybe(Strings),
  Labels: maybe(StringMap),
  StopSignal: maybe(Type.String()),
  /** Seconds; -1 waits for ever. */
  StopTimeout: maybe(Type.Integer()),
};

/** What of a container does not depend on the host, as it comes in a request. */
export const ContainerConfigRequest = Type.Object({
  ...portableFields,
  Cmd: maybe(StringSlice),
  Entrypoint: maybe(StringSlice),
  Shell: maybe(StringSlice),
});
export type ContainerConfigRequest = Static<typeof ContainerConfigRequest>;

/** What of a container does not depend on the host, normalised: commands are lists. */
export const ContainerConfig = Type.Object({
  ...portableFields,
  Cmd: maybe(Strings),
  Entrypoint: maybe(Strings),
  Shell: maybe(Strings),
});
export type ContainerConfig = Static<typeof ContainerConfig>;
