import { type Digest, forbidden, invalidParameter } from "@gantry/spec";
import { RegistryError, responseFailure } from "./failure.ts";
import type { Repository } from "./repository.ts";
import { type Backoff, retrying, TransientError } from "./retry.ts";

export interface UploadSource {
  digest: Digest;
  size: number;
  open(offset: number): ReadableStream<Uint8Array>;
}

export interface UploadOptions {
  /** Repositories of the same registry that have the blob, for a cross-repository mount. */
  mountFrom?: readonly string[];
  backoff: Backoff;
  stall: number;
  signal?: AbortSignal;
  /** Called once bytes have to be sent, then as they are. */
  onProgress?: (bytes: number) => void;
}

export type UploadOutcome = { kind: "exists" } | { kind: "mounted"; from: string } | { kind: "uploaded" };

/** Up to this size a blob goes in one PUT, without a PATCH before it. */
const MONOLITHIC = 1024 * 1024;
const MAX_MOUNTS = 3;
/** Size of the pieces for registries, or proxies before them, that take no large bodies. */
const CHUNK = 8 * 1024 * 1024;
/** Milliseconds that a registry may take to verify what it got. */
const ANSWER_TIMEOUT = 600_000;

/** Whether the repository has the blob. */
export async function hasBlob(repository: Repository, digest: Digest, signal?: AbortSignal): Promise<boolean> {
  const response = await repository.send(`blobs/${digest}`, { method: "HEAD", signal });
  await response.body?.cancel();
  if (response.status === 200) return true;
  if (response.status === 404 || response.status === 405) return false;
  throw await responseFailure(response);
}

/** Makes a repository have a blob: it has it already, mounts it, or gets it sent (resumed where a connection breaks). */
export async function uploadBlob(
  repository: Repository,
  source: UploadSource,
  options: UploadOptions,
): Promise<UploadOutcome> {
  const { backoff, signal } = options;
  if (await retrying(() => hasBlob(repository, source.digest, signal), { backoff, signal })) return { kind: "exists" };
  const mounted = await mount(repository, source.digest, options);
  if (mounted) return { kind: "mounted", from: mounted };
  let monolithic = source.size <= MONOLITHIC;
  let chunked = false;
  let location: string | undefined;
  let refreshed = false;
  await retrying(
    async () => {
      let offset = 0;
      if (location) ({ location, offset } = await progressOf(repository, location, source.size, signal));
      location ??= await begin(repository, signal);
      try {
        if (!monolithic) location = await patch(repository, location, source, offset, chunked, options);
        await finish(repository, location, source, monolithic, options);
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error;
        const upload = location;
        location = undefined;
        // Once more from the beginning: the session's token died, the body was too large, the registry takes no PATCH, or
        // it lost the session.
        if (error.statusCode === 401 && !refreshed) refreshed = true;
        else if (error.statusCode === 413 && !chunked && !monolithic) chunked = true;
        else if ([404, 405, 416, 501].includes(error.statusCode) && !monolithic) monolithic = true;
        else throw error;
        await cancelUpload(repository, upload);
        throw new TransientError(error.message, { cause: error, retryAfter: 0 });
      }
    },
    { backoff, signal },
  );
  return { kind: "uploaded" };
}

async function mount(repository: Repository, digest: Digest, options: UploadOptions): Promise<string | undefined> {
  for (const from of (options.mountFrom ?? []).filter((path) => path !== repository.path).slice(0, MAX_MOUNTS)) {
    const query = new URLSearchParams({ mount: digest, from });
    const request = { method: "POST" as const, signal: options.signal };
    const response = await repository
      .send(`blobs/uploads/?${query}`, request, repository.withMountFrom(from))
      .catch(() => null);
    options.signal?.throwIfAborted();
    await response?.body?.cancel();
    if (response?.status === 201) return from;
    // An upload was opened instead; it is not used, as its token may not be the one for plain uploads.
    if (response?.status === 202) await cancelUpload(repository, locationOf(response, repository));
  }
  return undefined;
}

async function begin(repository: Repository, signal?: AbortSignal): Promise<string> {
  const response = await repository.expect([202], "blobs/uploads/", { method: "POST", signal });
  await response.body?.cancel();
  return locationOf(response, repository);
}

/** Where an interrupted upload stands; no location where the registry has forgotten it. */
async function progressOf(
  repository: Repository,
  location: string,
  size: number,
  signal?: AbortSignal,
): Promise<{ location: string | undefined; offset: number }> {
  const response = await repository.send(location, { signal }).catch(() => null);
  signal?.throwIfAborted();
  await response?.body?.cancel();
  if (response?.status !== 204) return { location: undefined, offset: 0 };
  const end = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get("range") ?? "")?.[1];
  // `0-0` may stand for nothing or for one byte: begin again rather than guess.
  const offset = end === undefined || end === "0" ? 0 : Number(end) + 1;
  if (offset === 0 || offset > size) {
    await cancelUpload(repository, location);
    return { location: undefined, offset: 0 };
  }
  return { location: response.headers.has("location") ? locationOf(response, repository) : location, offset };
}

/** Sends the blob from `offset` on, in one piece or in chunks. Returns where the upload goes on. */
async function patch(
  repository: Repository,
  location: string,
  source: UploadSource,
  offset: number,
  chunked: boolean,
  options: UploadOptions,
): Promise<string> {
  let at = offset;
  let target = location;
  while (at < source.size) {
    const end = chunked ? Math.min(source.size, at + CHUNK) : source.size;
    const headers: Record<string, string> = { "content-type": "application/octet-stream" };
    if (chunked || at > 0) headers["content-range"] = `${at}-${end - 1}`;
    const response = await sendBody(repository, "PATCH", target, source, at, end, headers, options);
    if (![201, 202, 204].includes(response.status)) throw await responseFailure(response);
    await response.body?.cancel();
    if (response.headers.has("location")) target = locationOf(response, repository);
    at = end;
  }
  return target;
}

async function finish(
  repository: Repository,
  location: string,
  source: UploadSource,
  withBody: boolean,
  options: UploadOptions,
): Promise<void> {
  const url = new URL(location);
  url.searchParams.set("digest", source.digest);
  const headers = { "content-type": "application/octet-stream" };
  const response = withBody
    ? await sendBody(repository, "PUT", url.href, source, 0, source.size, headers, options)
    : await repository.send(url.href, { method: "PUT", headers, signal: options.signal, headTimeout: ANSWER_TIMEOUT });
  if (response.status !== 201 && response.status !== 204) throw await responseFailure(response);
  await response.body?.cancel();
}

/** Sends the blob's bytes from `offset` to `end`; a receiver that takes nothing for the stall time is given up. */
async function sendBody(
  repository: Repository,
  method: "PATCH" | "PUT",
  location: string,
  source: UploadSource,
  offset: number,
  end: number,
  headers: Record<string, string>,
  options: UploadOptions,
): Promise<Response> {
  const abort = new AbortController();
  const onAbort = () => abort.abort(options.signal?.reason);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  let sent = offset;
  let moved = performance.now();
  const watch = setInterval(
    () => {
      const limit = sent >= end ? ANSWER_TIMEOUT : options.stall;
      if (performance.now() - moved > limit) abort.abort(new TransientError("upload stalled"));
    },
    Math.max(10, Math.min(1000, options.stall / 4)),
  );
  const reader = source.open(offset).getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        moved = performance.now();
        if (sent === end) return controller.close();
        const { done, value } = await reader.read();
        moved = performance.now();
        if (done) return controller.close();
        const piece = value.length > end - sent ? value.subarray(0, end - sent) : value;
        sent += piece.length;
        options.onProgress?.(sent);
        controller.enqueue(piece);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  try {
    const length = { "content-length": String(end - offset) };
    return await repository.send(location, {
      method,
      headers: { ...headers, ...length },
      body,
      signal: abort.signal,
      headTimeout: 0,
    });
  } finally {
    clearInterval(watch);
    options.signal?.removeEventListener("abort", onAbort);
    reader.cancel().catch(() => {});
  }
}

async function cancelUpload(repository: Repository, location: string | undefined): Promise<void> {
  if (!location) return;
  const response = await repository.send(location, { method: "DELETE", headTimeout: 5000 }).catch(() => null);
  await response?.body?.cancel();
}

function locationOf(response: Response, repository: Repository): string {
  const header = response.headers.get("location");
  if (!header) throw invalidParameter("registry gave no location for the upload");
  const base = new URL(repository.endpoint.url);
  const url = new URL(header, response.url || base);
  if (url.protocol !== "https:" && url.protocol !== "http:") throw forbidden("upload location with unsupported scheme");
  // Registries behind a TLS proxy often do not know that they are; the same host is spoken to as before.
  if (base.protocol === "https:" && url.protocol === "http:") {
    if (url.hostname !== base.hostname) throw forbidden(`upload location ${url.origin} without TLS refused`);
    url.protocol = "https:";
    url.port = base.port;
  }
  return url.href;
}
