import { type Static, Type } from "@sinclair/typebox";
import { maybe, Strings } from "./schema.ts";

/** Body of POST /containers/{id}/exec. */
export const ExecConfig = Type.Object({
  User: maybe(Type.String()),
  Privileged: maybe(Type.Boolean()),
  Tty: maybe(Type.Boolean()),
  /** Rows and columns, in that order. */
  ConsoleSize: maybe(Type.Array(Type.Integer())),
  AttachStdin: maybe(Type.Boolean()),
  AttachStderr: maybe(Type.Boolean()),
  AttachStdout: maybe(Type.Boolean()),
  DetachKeys: maybe(Type.String()),
  Env: maybe(Strings),
  WorkingDir: maybe(Type.String()),
  Cmd: maybe(Strings),
});
export type ExecConfig = Static<typeof ExecConfig>;

/** Body of POST /exec/{id}/start. */
export const ExecStartRequest = Type.Object({
  Detach: maybe(Type.Boolean()),
  Tty: maybe(Type.Boolean()),
  ConsoleSize: maybe(Type.Array(Type.Integer())),
});
export type ExecStartRequest = Static<typeof ExecStartRequest>;

/** Answer of GET /exec/{id}/json. `ExitCode` is null while it runs. */
export const ExecInspect = Type.Object({
  ID: Type.String(),
  Running: Type.Boolean(),
  ExitCode: Type.Union([Type.Integer(), Type.Null()]),
  ProcessConfig: Type.Object({
    tty: Type.Boolean(),
    entrypoint: Type.String(),
    arguments: Type.Union([Strings, Type.Null()]),
    privileged: Type.Optional(Type.Boolean()),
    user: Type.Optional(Type.String()),
  }),
  OpenStdin: Type.Boolean(),
  OpenStderr: Type.Boolean(),
  OpenStdout: Type.Boolean(),
  CanRemove: Type.Boolean(),
  ContainerID: Type.String(),
  DetachKeys: Type.Union([Type.String(), Type.Null()]),
  Pid: Type.Integer(),
});
export type ExecInspect = Static<typeof ExecInspect>;
