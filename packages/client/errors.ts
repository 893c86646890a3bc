/** An error that the engine answered. `message` is its text alone, `status` the HTTP status. */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** The engine could not be reached. `code` is the system's word for why (ENOENT, ECONNREFUSED, EACCES, …). */
export class ConnectionError extends Error {
  readonly code: string | undefined;
  constructor(message: string, code?: string, cause?: unknown) {
    super(message, { cause });
    this.name = "ConnectionError";
    this.code = code;
  }
}

/** The engine broke off in the middle of an answer, or answered what is not HTTP. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ProtocolError";
  }
}

/** The error for a failed connection to a host, in Docker's words. */
export function connectionError(host: string, cause: unknown): ConnectionError {
  const code = (cause as { code?: string } | null)?.code;
  if (code === "EACCES" || code === "EPERM") {
    const path = host.startsWith("unix://") ? host.slice(7) : host;
    return new ConnectionError(
      `permission denied while trying to connect to the Docker daemon socket at ${host}: dial unix ${path}: connect: permission denied`,
      code,
      cause,
    );
  }
  return new ConnectionError(
    `Cannot connect to the Docker daemon at ${host}. Is the docker daemon running?`,
    code,
    cause,
  );
}
