/** Ends the command with a message on stderr and an exit status. An empty message prints nothing. */
export class CliError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
  }
}

/** The command line itself is wrong: printed with the command's usage. */
export class UsageError extends Error {
  readonly kind: "flag" | "arguments" | "minimum" | "unknown-command";
  constructor(kind: UsageError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** What a thrown thing says on stderr: the engine's own errors are marked as such. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "ApiError" ? `Error response from daemon: ${error.message}` : error.message;
}
