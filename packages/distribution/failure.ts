import { type ErrorKind, GantryError, parseJson } from "@gantry/spec";
import { readAtMost } from "./body.ts";
import { parseRetryAfter, TransientError } from "./retry.ts";

const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);
const MAX_ERROR_BODY = 64 * 1024;

const KINDS: Record<number, ErrorKind> = {
  400: "invalidParameter",
  401: "unauthorized",
  403: "forbidden",
  404: "notFound",
};

/** What a registry answered instead of what was asked for; the message reads as Docker's does. */
export class RegistryError extends GantryError {
  readonly statusCode: number;
  /** The first error code of the body (`MANIFEST_UNKNOWN`), where there is one. */
  readonly code: string;
  constructor(statusCode: number, code: string, message: string) {
    super(KINDS[statusCode] ?? "system", message);
    this.statusCode = statusCode;
    this.code = code;
  }
}

/**
 * Turns an unsuccessful response into an error, body included (OCI distribution spec, "Error Codes"): a TransientError
 * where it is worth another try, else a RegistryError.
 */
export async function responseFailure(response: Response): Promise<Error> {
  const error = await registryError(response);
  if (!TRANSIENT.has(response.status)) return error;
  const retryAfter = parseRetryAfter(response.headers.get("retry-after"));
  return new TransientError(error.message, { cause: error, retryAfter });
}

async function registryError(response: Response): Promise<RegistryError> {
  const { status } = response;
  const plain = `received unexpected HTTP status: ${status} ${statusText(response)}`.trimEnd();
  let text = "";
  try {
    text = new TextDecoder().decode(await readAtMost(response, MAX_ERROR_BODY));
  } catch {
    return new RegistryError(status, "", plain);
  }
  const errors = readErrors(text);
  const first = errors[0];
  if (first) {
    const words = errors.map(({ code, message }) => join(code.toLowerCase().replaceAll("_", " "), message));
    return new RegistryError(status, first.code, words.join("\n").slice(0, 4096));
  }
  if (status === 429) return new RegistryError(status, "TOOMANYREQUESTS", join("toomanyrequests", brief(text)));
  if (status === 401) return new RegistryError(status, "UNAUTHORIZED", "unauthorized: authentication required");
  if (status === 403) return new RegistryError(status, "DENIED", "denied: requested access to the resource is denied");
  return new RegistryError(status, "", plain);
}

function readErrors(text: string): { code: string; message: string }[] {
  try {
    const body = parseJson(text) as { errors?: unknown; details?: unknown; message?: unknown };
    if (Array.isArray(body.errors)) {
      return body.errors
        .filter((entry): entry is Record<string, unknown> => typeof entry === "object" && entry !== null)
        .map((entry) => ({ code: String(entry["code"] ?? "UNKNOWN"), message: String(entry["message"] ?? "") }));
    }
    if (typeof body.details === "string") return [{ code: "UNAUTHORIZED", message: body.details }];
  } catch {
    // No JSON: the caller says what the status means.
  }
  return [];
}

/** Turns what `fetch` throws into an error in the words that people know from Docker; network trouble is transient. */
export function networkFailure(method: string, url: string, error: unknown, signal?: AbortSignal): Error {
  if (signal?.aborted) return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
  const { code = "", message = String(error) } = (error ?? {}) as { code?: string; message?: string };
  const { host, hostname, protocol } = new URL(url);
  const verb = method.charAt(0) + method.slice(1).toLowerCase();
  const say = (reason: string) => `${verb} ${JSON.stringify(url)}: ${reason}`;
  const certificate = (reason: string) =>
    new GantryError("unavailable", say(`tls: failed to verify certificate: x509: ${reason}`), { cause: error });
  switch (code) {
    case "ECONNREFUSED":
    case "ConnectionRefused": {
      const address = /:\d+$/.test(host) ? host : `${host}:${protocol === "https:" ? 443 : 80}`;
      return new TransientError(say(`dial tcp ${address}: connect: connection refused`), { cause: error });
    }
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new TransientError(say(`dial tcp: lookup ${hostname}: no such host`), { cause: error });
    case "EPROTO":
      return new GantryError("unavailable", say("http: server gave HTTP response to HTTPS client"), { cause: error });
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return certificate("certificate has expired or is not yet valid");
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return certificate(`certificate is not valid for ${hostname}`);
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return certificate("certificate signed by unknown authority");
  }
  if (code.startsWith("ERR_TLS") || code.startsWith("ERR_SSL")) {
    return new GantryError("unavailable", say(message), { cause: error });
  }
  return new TransientError(say(brief(message.replace(/ For more information, pass `verbose.*$/, ""))), {
    cause: error,
  });
}

function join(code: string, message: string): string {
  return message ? `${code}: ${message}` : code;
}

function brief(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, 300);
}

const STATUS_TEXT: Record<number, string> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

function statusText(response: Response): string {
  return STATUS_TEXT[response.status] ?? response.statusText;
}
