import { type Emit, throttled } from "@gantry/distribution";
import { invalidParameter, systemError } from "@gantry/spec";

/**
 * The body behind an http(s) address, for `docker import URL`. Throws invalidParameter where it is none, systemError where
 * nothing comes. The read amount goes to `emit`.
 */
export async function openUrl(text: string, emit: Emit, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `http://${text}`);
  } catch (error) {
    throw invalidParameter(`invalid URL ${JSON.stringify(text.slice(0, 500))}`, error);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw invalidParameter(`unsupported scheme ${JSON.stringify(url.protocol)}`);
  }
  const response = await fetch(url, { signal }).catch((error) => {
    throw systemError(`Get ${JSON.stringify(url.href)}: ${error instanceof Error ? error.message : error}`, error);
  });
  if (!response.ok || !response.body) {
    const words = (await response.text().catch(() => "")).slice(0, 1024).trim();
    throw systemError(`failed to GET ${text} with status ${response.status} ${response.statusText}: ${words}`);
  }
  emit({ status: `Downloading from ${url.href}` });
  const total = Number(response.headers.get("content-length") ?? 0);
  const progress = throttled(emit);
  let read = 0;
  return response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        read += chunk.length;
        progress("", "Importing", read, total);
        controller.enqueue(chunk);
      },
    }),
  );
}

/** `Imported from …`, as Docker words it where no message was given. */
export function importMessage(source: string): string {
  if (source === "-") return "Imported from -";
  return `Imported from ${source.includes("://") ? source : `http://${source}`}`;
}
