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

/** libuv's words for an errno where they are not Go's. */
const WORDS: Record<string, string> = {
  EEXIST: "file exists",
  EISDIR: "is a directory",
  ENOTEMPTY: "directory not empty",
  EXDEV: "invalid cross-device link",
  EBUSY: "device or resource busy",
  EIO: "input/output error",
  EDQUOT: "disk quota exceeded",
  EMFILE: "too many open files",
  ENFILE: "too many open files in system",
  ENOMEM: "cannot allocate memory",
  EAGAIN: "resource temporarily unavailable",
  ENAMETOOLONG: "file name too long",
};
/** SQLite's codes for what befell the disk below it. */
const DATABASE: Record<string, string> = {
  SQLITE_FULL: "no space left on device",
  SQLITE_READONLY: "read-only file system",
  SQLITE_IOERR: "input/output error",
};

/** The text of anything thrown; of a failed system call as Go tells it: "mkdir /path: no space left on device". */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, syscall, path, dest } = error as NodeJS.ErrnoException & { dest?: string };
  if (typeof code !== "string") return error.message;
  if (code.startsWith("SQLITE_")) {
    const words = Object.entries(DATABASE).find(([name]) => code.startsWith(name))?.[1];
    return words === undefined ? error.message : `write database: ${words}`;
  }
  const told = error.message.startsWith(`${code}: `) ? error.message.slice(code.length + 2) : null;
  if (told === null || syscall === undefined) return error.message;
  const words = WORDS[code] ?? told.replace(/, [a-z0-9_]+(?: '.*)?$/s, "");
  return `${[syscall === "scandir" ? "open" : syscall, path, dest].filter((part) => part !== undefined).join(" ")}: ${words}`;
}
