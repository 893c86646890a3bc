import { GantryError, invalidParameter, systemError } from "@gantry/spec";
import { detectCompression, preinflate } from "@gantry/storage";
import { S } from "@gantry/sys";
import type { BuildSource } from "../contract.ts";
import { beginsArchive } from "../copy/archive.ts";
import { type ParsedFile, parseNamedFile } from "../dockerfile/parser.ts";
import { cleanPath } from "../ignore/clean.ts";
import { parseIgnoreFile } from "../ignore/file.ts";
import { PatternMatcher } from "../ignore/matcher.ts";
import { parseSourceRef } from "../plan/source-ref.ts";
import { fetchGit } from "../remote/git.ts";
import { get } from "../remote/url.ts";
import { TemporaryTree } from "../tree/temporary-tree.ts";

const DEFAULT_NAME = "Dockerfile";
/** Bytes of a Dockerfile, and of a .dockerignore. */
const MAX_FILE = 16 << 20;

/** A build's files and its Dockerfile. */
export interface BuildContext {
  tree: TemporaryTree;
  file: ParsedFile;
}

/** Receives a build's context below `temporary`, and reads the Dockerfile in it. The caller closes the tree. */
export async function receiveContext(
  source: BuildSource,
  dockerfile: string,
  temporary: string,
  signal: AbortSignal,
): Promise<BuildContext> {
  const name = dockerfile || DEFAULT_NAME;
  if (source.type === "tar") return fromArchive(source.stream, name, temporary, signal);
  const ref = parseSourceRef(source.url);
  if (ref.type === "local") {
    throw invalidParameter(`remoteURL (${source.url}) could not be recognized as URL`);
  }
  if (ref.type === "git") {
    const tree = await fetchGit(source.url, { keepGitDir: true, temporary, context: true, signal });
    return withDockerfile(tree, name);
  }
  const response = await get(source.url, signal);
  const body = response.body as AsyncIterable<Uint8Array> | null;
  if (!body) throw invalidParameter(`failed to GET ${source.url}: empty answer`);
  const { head, whole } = await peek(body);
  if (beginsArchive(head) || detectCompression(head) !== "none") return fromArchive(whole, name, temporary, signal);
  const text = await readText(whole);
  return { tree: TemporaryTree.create(temporary, { context: true }), file: parseNamedFile(text, name) };
}

async function fromArchive(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  temporary: string,
  signal: AbortSignal,
): Promise<BuildContext> {
  const { head, whole } = await peek(stream);
  const kind = detectCompression(head);
  const plain = kind === "xz" || kind === "bzip2" ? await preinflate(toStream(whole)) : whole;
  const tree = await TemporaryTree.receive(temporary, plain, { context: true, signal });
  return withDockerfile(tree, name);
}

function withDockerfile(tree: TemporaryTree, name: string): BuildContext {
  try {
    const clean = cleanPath(name.replace(/^\/+/, ""));
    if (clean === ".." || clean.startsWith("../")) {
      throw systemError(`forbidden path outside the build context: ${name} ()`);
    }
    const text = readContextFile(tree, clean);
    if (text === null) {
      const lower = DEFAULT_NAME.toLowerCase();
      if (name === DEFAULT_NAME && readContextFile(tree, lower) !== null) return withDockerfile(tree, lower);
      throw systemError(`Cannot locate specified Dockerfile: ${name}`);
    }
    const file = parseNamedFile(text, name);
    dropIgnored(tree, clean);
    return { tree, file };
  } catch (error) {
    tree.close();
    throw error;
  }
}

/**
 * A client sends the Dockerfile and .dockerignore even where that ignores them; they are no part of the context then.
 * Nothing else is filtered here: that is the client's work.
 */
function dropIgnored(tree: TemporaryTree, dockerfile: string): void {
  const text = readContextFile(tree, ".dockerignore");
  if (text === null) return;
  let matcher: PatternMatcher;
  try {
    matcher = new PatternMatcher(parseIgnoreFile(text));
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    throw new GantryError(error.kind, `error reading .dockerignore: ${error.message}`);
  }
  for (const path of [".dockerignore", dockerfile]) {
    if (matcher.matches(path)) tree.remove(tree.follow(path));
  }
}

/** Text of a file of the context, links followed inside it; null where there is none. */
function readContextFile(tree: TemporaryTree, path: string): string | null {
  const real = tree.follow(path);
  const stat = tree.stat(real);
  if (!stat) return null;
  if ((stat.mode & S.IFMT) !== S.IFREG) throw systemError(`read ${path}: is not a regular file`);
  return new TextDecoder().decode(tree.read(real, MAX_FILE));
}

/** The first bytes of a stream, and the stream with them. */
async function peek(
  stream: AsyncIterable<Uint8Array>,
): Promise<{ head: Uint8Array; whole: AsyncIterable<Uint8Array> }> {
  const iterator = stream[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let size = 0;
  while (size < 1024) {
    const { done, value } = await iterator.next();
    if (done) break;
    // Kept beyond the reader's turn, whose buffer it may be.
    first.push(Uint8Array.from(value));
    size += value.length;
  }
  const head = Buffer.concat(first);
  async function* whole() {
    try {
      if (head.length > 0) yield head as Uint8Array;
      for (;;) {
        const { done, value } = await iterator.next();
        if (done) return;
        yield value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { head, whole: whole() };
}

function toStream(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(Uint8Array.from(value));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

async function readText(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_FILE) throw invalidParameter("the Dockerfile is too large");
    parts.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(parts).toString("utf8");
}
