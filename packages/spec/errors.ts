/**
 * The errors that cross package borders. Every error a user can cause carries a kind, which alone decides the HTTP
 * status (Docker's `errdefs` classes); the message is in the words of Docker's where clients match on them.
 */
export type ErrorKind =
  | "invalidParameter"
  | "unauthorized"
  | "forbidden"
  | "notFound"
  | "conflict"
  | "notModified"
  | "notImplemented"
  | "unavailable"
  | "cancelled"
  | "system";

const STATUS: Record<ErrorKind, number> = {
  notModified: 304,
  invalidParameter: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  cancelled: 499,
  system: 500,
  notImplemented: 501,
  unavailable: 503,
};

/** An error with a Docker status. Thrown by every package for whatever its caller can cause or must tell the user. */
export class GantryError extends Error {
  readonly kind: ErrorKind;
  constructor(kind: ErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "GantryError";
    this.kind = kind;
  }
  /** The HTTP status code that Docker gives errors of this kind. */
  get status(): number {
    return STATUS[this.kind];
  }
}

export const invalidParameter = (message: string, cause?: unknown) =>
  new GantryError("invalidParameter", message, { cause });
export const unauthorized = (message: string, cause?: unknown) => new GantryError("unauthorized", message, { cause });
export const forbidden = (message: string, cause?: unknown) => new GantryError("forbidden", message, { cause });
export const notFound = (message: string, cause?: unknown) => new GantryError("notFound", message, { cause });
export const conflict = (message: string, cause?: unknown) => new GantryError("conflict", message, { cause });
export const notModified = (message: string, cause?: unknown) => new GantryError("notModified", message, { cause });
export const notImplemented = (message: string, cause?: unknown) =>
  new GantryError("notImplemented", message, { cause });
export const unavailable = (message: string, cause?: unknown) => new GantryError("unavailable", message, { cause });
export const systemError = (message: string, cause?: unknown) => new GantryError("system", message, { cause });

/** The HTTP status for anything thrown: 500 where it is not one of ours. */
export function statusOf(error: unknown): number {
  return error instanceof GantryError ? error.status : 500;
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
