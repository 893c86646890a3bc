import { GantryError, invalidParameter } from "@gantry/spec";

/** Redirects that are followed. */
const MAX_REDIRECTS = 10;

/**
 * Fetches http(s) URLs, following redirects to http(s) only. Throws invalidParameter in the words of Docker's (Go's)
 * client for what does not answer, or answers with an error.
 */
export async function get(url: string, signal: AbortSignal): Promise<Response> {
  let target = parseUrl(url);
  for (let redirects = 0; ; redirects++) {
    let response: Response;
    try {
      response = await fetch(target, { redirect: "manual", signal, headers: { "User-Agent": "gantry-builder" } });
    } catch (error) {
      if (signal.aborted) throw new GantryError("cancelled", "build cancelled", { cause: error });
      throw invalidParameter(`Get "${target.href}": ${(error as Error).message}`, error);
    }
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) {
      if (response.status < 400) return response;
      const text = (await response.text().catch(() => "")).slice(0, 4096);
      throw invalidParameter(`failed to GET ${url} with status ${response.status} ${response.statusText}: ${text}`);
    }
    if (redirects >= MAX_REDIRECTS) throw invalidParameter(`Get "${url}": stopped after ${MAX_REDIRECTS} redirects`);
    await response.body?.cancel();
    target = parseUrl(new URL(location, target).href);
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw invalidParameter(`unsupported URL ${JSON.stringify(text)}`);
  }
  return url;
}
