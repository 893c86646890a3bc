/**
 * Reads a stream of JSON documents, one a line (how the engine writes them) or one after the other on a line. Throws
 * for a document that is malformed or longer than 64 MiB.
 */
export async function* jsonStream<T>(body: AsyncIterable<Uint8Array>): AsyncGenerator<T, void, undefined> {
  for await (const line of textLines(body)) yield* documents<T>(line);
}

/** Reads a stream line by line, empty lines left out. Throws for a line longer than 64 MiB. */
export async function* textLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    let newline = text.indexOf("\n");
    if (newline < 0) {
      if (text.length > MAX_DOCUMENT) throw new Error("JSON document in stream is too long");
      continue;
    }
    let start = 0;
    for (; newline >= 0; newline = text.indexOf("\n", start)) {
      const line = text.slice(start, newline).trim();
      start = newline + 1;
      if (line) yield line;
    }
    text = text.slice(start);
  }
  text = (text + decoder.decode()).trim();
  if (text) yield text;
}

const MAX_DOCUMENT = 64 << 20;

function* documents<T>(line: string): Generator<T> {
  try {
    yield JSON.parse(line) as T;
    return;
  } catch (error) {
    const parts = splitDocuments(line);
    if (parts.length < 2) throw error;
    for (const part of parts) yield JSON.parse(part) as T;
  }
}

function splitDocuments(line: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < line.length; i++) {
    const char = line[i];
    if (char === '"') {
      for (i++; i < line.length && line[i] !== '"'; i++) if (line[i] === "\\") i++;
    } else if (char === "{" || char === "[") {
      depth++;
    } else if (char === "}" || char === "]") {
      depth--;
      if (depth === 0) {
        parts.push(line.slice(start, i + 1));
        start = i + 1;
      }
    }
  }
  const tail = line.slice(start).trim();
  if (tail) parts.push(tail);
  return parts;
}
