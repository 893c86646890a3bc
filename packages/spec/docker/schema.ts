import { type TSchema, Type } from "@sinclair/typebox";

/**
 * A field of a request: absent, null or of the given schema. Go's decoder, which Docker's clients are written
 * against, takes null for every type and leaves the field at its zero value.
 */
export const maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

/** Go's `uint16` and `uint64`: what is below or above is refused as a wrong type. */
export const Unsigned16 = Type.Integer({ minimum: 0, maximum: 65535 });
export const Unsigned = Type.Integer({ minimum: 0 });

/** A map of strings: labels, driver options, annotations. */
export const StringMap = Type.Record(Type.String(), Type.String());

/** Go's `map[string]struct{}`: a set written as an object with empty objects as values. */
export const StringSet = Type.Record(Type.String(), Type.Object({}));

/** A list of strings. */
export const Strings = Type.Array(Type.String());
