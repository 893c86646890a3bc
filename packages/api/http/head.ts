/** A request that is not HTTP, or not the HTTP we accept. The connection is closed after the answer. */
export class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = "HttpError";
    this.status = status;
  }
}

/** The parsed head of a request (RFC 9112). Header names are in lower case; repeated ones are joined by ", ". */
export interface RequestHead {
  method: string;
  /** Percent-encoded path as sent. */
  path: string;
  /** Query without the question mark. */
  search: string;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  minor: 0 | 1;
  headers: Map<string, string>;
  /** Length of the body in bytes; null where it is chunked. 0 where there is none. */
  contentLength: number | null;
  keepAlive: boolean;
  /** Value of `Upgrade` where `Connection` names it, in lower case; else "". */
  upgrade: string;
  expectContinue: boolean;
}

/** Largest head in bytes, request line included (build arguments travel in the query; Go's limit is the same). */
export const MAX_HEAD = 1 << 20;
const MAX_HEADERS = 256;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const BAD_TARGET = /[\x00-\x20\x7f]/;
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Where the head ends and the body begins, looking for the empty line from `from` on; null where it is not there yet. */
export function headEnd(input: Buffer, from: number): { end: number; next: number } | null {
  for (let at = input.indexOf(10, from); at >= 0; at = input.indexOf(10, at + 1)) {
    const end = input[at - 1] === 13 ? at - 1 : at;
    if (input[at + 1] === 10) return { end, next: at + 2 };
    if (input[at + 1] === 13 && input[at + 2] === 10) return { end, next: at + 3 };
  }
  return null;
}

/**
 * Parses everything up to (not including) the empty line. Strict where leniency lets two parsers disagree about where
 * a request ends: bare CR, folded lines, space before the colon, several lengths, length together with chunked. A line
 * may end in a bare LF, as it does where people write requests by hand, and as Go takes it.
 */
export function parseHead(text: string): RequestHead {
  const lines = text.split(/\r?\n/);
  const request = lines[0] as string;
  const first = request.indexOf(" ");
  const last = request.lastIndexOf(" ");
  if (first <= 0 || last === first) throw new HttpError(400, "malformed HTTP request line");
  const method = request.slice(0, first);
  const target = request.slice(first + 1, last);
  const version = request.slice(last + 1);
  if (!TOKEN.test(method)) throw new HttpError(400, "invalid method");
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") {
    throw new HttpError(/^HTTP\/\d+\.\d+$/.test(version) ? 505 : 400, "unsupported protocol version");
  }
  if (BAD_TARGET.test(target)) throw new HttpError(400, "invalid request target");

  let contentLength: number | null = 0;
  let sawLength: string | undefined;
  let chunked = false;
  let hosts = 0;
  const headers = new Map<string, string>();
  if (lines.length - 1 > MAX_HEADERS) throw new HttpError(431, "too many header fields");
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] as string;
    const colon = line.indexOf(":");
    const rawName = line.slice(0, Math.max(colon, 0));
    if (colon <= 0 || !TOKEN.test(rawName)) throw new HttpError(400, "malformed header line");
    const value = line.slice(colon + 1).trim();
    if (BAD_VALUE.test(line)) throw new HttpError(400, "invalid header value");
    const name = rawName.toLowerCase();
    if (name === "content-length") {
      if (!/^\d{1,15}$/.test(value) || (sawLength !== undefined && sawLength !== value)) {
        throw new HttpError(400, "bad Content-Length");
      }
      sawLength = value;
      contentLength = Number(value);
      headers.set(name, value);
      continue;
    }
    if (name === "transfer-encoding") {
      if (chunked || value.toLowerCase() !== "chunked" || version === "HTTP/1.0") {
        throw new HttpError(501, "unsupported transfer encoding");
      }
      chunked = true;
    } else if (name === "host") hosts++;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : name === "cookie" ? `${before}; ${value}` : `${before}, ${value}`);
  }
  if (chunked && sawLength !== undefined) throw new HttpError(400, "both Transfer-Encoding and Content-Length");
  if (hosts > 1) throw new HttpError(400, "too many Host headers");
  if (hosts === 0 && version === "HTTP/1.1") throw new HttpError(400, "missing required Host header");
  if (chunked) contentLength = null;
  const expect = (headers.get("expect") ?? "").toLowerCase();
  if (expect !== "" && expect !== "100-continue") throw new HttpError(417, "unknown expectation");

  const { path, search } = splitTarget(target);
  const connection = (headers.get("connection") ?? "").toLowerCase();
  const minor = version === "HTTP/1.1" ? 1 : 0;
  return {
    method,
    path,
    search,
    minor,
    headers,
    contentLength,
    keepAlive: minor === 1 ? !hasOption(connection, "close") : hasOption(connection, "keep-alive"),
    upgrade: hasOption(connection, "upgrade") ? (headers.get("upgrade") ?? "").toLowerCase() : "",
    expectContinue: minor === 1 && expect !== "",
  };
}

function splitTarget(target: string): { path: string; search: string } {
  let rest = target;
  if (!rest.startsWith("/")) {
    const absolute = /^https?:\/\/[^/?#]*/i.exec(rest);
    if (absolute === null) throw new HttpError(400, "invalid request target");
    rest = rest.slice(absolute[0].length) || "/";
  }
  const question = rest.indexOf("?");
  return question < 0
    ? { path: rest, search: "" }
    : { path: rest.slice(0, question) || "/", search: rest.slice(question + 1) };
}

function hasOption(list: string, option: string): boolean {
  return list !== "" && list.split(",").some((entry) => entry.trim() === option);
}
