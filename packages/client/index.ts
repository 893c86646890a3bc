/** The TypeScript SDK for a Docker-compatible engine. Runs on Node 20 and later, and on Bun. */
export { authHeader, encodeAuth } from "./auth.ts";
export type { AttachOptions, LogOptions, WaitCondition } from "./containers.ts";
export { Docker } from "./docker.ts";
export {
  API_VERSION,
  type CallOptions,
  type ClientOptions,
  drain,
  olderThan,
  type Query,
  readBytes,
  readText,
} from "./engine-client.ts";
export { ApiError, ConnectionError, ProtocolError } from "./errors.ts";
export { type Filters, filtersText } from "./filters.ts";
export { HijackedStream, type Sink } from "./hijack.ts";
export { DEFAULT_HOST, type Endpoint, parseHost, type TlsOptions } from "./host.ts";
export type { HttpResponse } from "./http.ts";
export type { PlatformQuery } from "./images.ts";
export { jsonStream, textLines } from "./json-stream.ts";
export { demultiplex, frame, type StdStream } from "./stdcopy.ts";
export type { Wire } from "./wire.ts";
