import { type Static, Type } from "@sinclair/typebox";
import { StringMap } from "./schema.ts";

/** What an event is about. */
export const EventActor = Type.Object({ ID: Type.String(), Attributes: StringMap });
export type EventActor = Static<typeof EventActor>;

/** One line of GET /events. `time` in seconds, `timeNano` in nanoseconds. `status`, `id`, `from` up to API 1.51. */
export const EventMessage = Type.Object({
  status: Type.Optional(Type.String()),
  id: Type.Optional(Type.String()),
  from: Type.Optional(Type.String()),
  Type: Type.String(),
  Action: Type.String(),
  Actor: EventActor,
  scope: Type.Optional(Type.String()),
  time: Type.Number(),
  timeNano: Type.Number(),
});
export type EventMessage = Static<typeof EventMessage>;
