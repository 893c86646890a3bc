import { invalidParameter, parseJson, type SearchResult, systemError } from "@gantry/spec";
import { basicAuthorization, type Credentials } from "./auth/credentials.ts";
import { readAtMost } from "./body.ts";
import type { HostBook } from "./endpoints.ts";
import { finalError } from "./errors.ts";
import { responseFailure } from "./failure.ts";
import type { Transport } from "./transport.ts";

const MAX_ANSWER = 8 * 1024 * 1024;

export interface SearchOptions {
  /** Hits wanted, 1 to 100. */
  limit?: number;
  credentials?: Credentials;
  signal?: AbortSignal;
}

/**
 * Searches a registry's index (the v1 search that Docker Hub and a few others have). The term may begin with a host.
 * Hits that are not well-formed are left out.
 */
export async function searchRegistry(
  transport: Transport,
  hosts: HostBook,
  term: string,
  options: SearchOptions = {},
): Promise<SearchResult[]> {
  if (term.includes("://")) {
    throw invalidParameter(`invalid repository name: repository name (${term}) should not have a scheme`);
  }
  const limit = options.limit || 25;
  if (limit < 1 || limit > 100) throw invalidParameter(`limit ${limit} is outside the range of [1, 100]`);
  const { host, query } = splitTerm(term);
  const headers: Record<string, string> = {};
  if (options.credentials?.username) headers["authorization"] = basicAuthorization(options.credentials);
  const parameters = new URLSearchParams({ q: query, n: String(limit) });
  const bases = [`https://${host}`];
  if ((await hosts.trust(host)).plainAllowed) bases.push(`http://${host}`);
  let failure: unknown;
  for (const base of bases) {
    try {
      const response = await transport.send(`${base}/v1/search?${parameters}`, { headers, signal: options.signal });
      if (response.status !== 200) throw await responseFailure(response);
      return readHits(await readAtMost(response, MAX_ANSWER));
    } catch (error) {
      options.signal?.throwIfAborted();
      failure = error;
    }
  }
  throw finalError(failure);
}

function splitTerm(term: string): { host: string; query: string } {
  const slash = term.indexOf("/");
  const first = slash < 0 ? "" : term.slice(0, slash);
  if (first && (/[.:]/.test(first) || first === "localhost") && first !== "docker.io" && first !== "index.docker.io") {
    if (!/^[A-Za-z0-9.-]+(?::\d{1,5})?$/.test(first))
      throw invalidParameter(`invalid registry ${JSON.stringify(first)}`);
    return { host: first, query: term.slice(slash + 1) };
  }
  const rest = first === "docker.io" || first === "index.docker.io" ? term.slice(slash + 1) : term;
  return { host: "index.docker.io", query: rest.replace(/^library\//, "") };
}

function readHits(body: Uint8Array): SearchResult[] {
  let json: { results?: unknown };
  try {
    json = parseJson(new TextDecoder().decode(body)) as { results?: unknown };
  } catch (error) {
    throw systemError("error decoding search answer", error);
  }
  const hits = Array.isArray(json?.results) ? json.results : [];
  return hits
    .filter(
      (hit): hit is Record<string, unknown> => typeof hit === "object" && hit !== null && typeof hit.name === "string",
    )
    .map((hit) => ({
      star_count: Number(hit["star_count"]) || 0,
      is_official: hit["is_official"] === true,
      name: String(hit["name"]),
      is_automated: hit["is_automated"] === true,
      description: String(hit["description"] ?? ""),
    }));
}
