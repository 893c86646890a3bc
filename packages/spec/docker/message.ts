import { type Static, Type } from "@sinclair/typebox";

/** The body of every error. */
export const ErrorResponse = Type.Object({ message: Type.String() });
export type ErrorResponse = Static<typeof ErrorResponse>;

/** An answer that is just an ID (exec create, commit). */
export const IDResponse = Type.Object({ Id: Type.String() });
export type IDResponse = Static<typeof IDResponse>;

/** Progress of one step; `hidecounts` leaves the numbers out, `units` replaces bytes. */
export const ProgressDetail = Type.Object({
  current: Type.Optional(Type.Number()),
  total: Type.Optional(Type.Number()),
  start: Type.Optional(Type.Number()),
  hidecounts: Type.Optional(Type.Boolean()),
  units: Type.Optional(Type.String()),
});
export type ProgressDetail = Static<typeof ProgressDetail>;

/** One line of a progress stream: pull, push, load, import, build. */
export const ProgressMessage = Type.Object({
  stream: Type.Optional(Type.String()),
  status: Type.Optional(Type.String()),
  progressDetail: Type.Optional(ProgressDetail),
  progress: Type.Optional(Type.String()),
  id: Type.Optional(Type.String()),
  from: Type.Optional(Type.String()),
  time: Type.Optional(Type.Number()),
  timeNano: Type.Optional(Type.Number()),
  errorDetail: Type.Optional(Type.Object({ code: Type.Optional(Type.Number()), message: Type.String() })),
  error: Type.Optional(Type.String()),
  aux: Type.Optional(Type.Unknown()),
});
export type ProgressMessage = Static<typeof ProgressMessage>;
