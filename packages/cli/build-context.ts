import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { CliError } from "./errors.ts";
import { readInput } from "./file-stream.ts";
import { dockerignore } from "./options/dockerignore.ts";
import { type TarEntry, tarEnd, tarHeader, tarPadding } from "./tar.ts";
import { archiveTree } from "./tree-archive.ts";

/** What is sent to the builder, and the Dockerfile's path in it. */
export interface BuildContext {
  body?: AsyncIterable<Uint8Array>;
  dockerfile: string;
  /** The engine fetches the context itself. */
  remote?: string;
}

/** The context of `build PATH|URL|-`. Throws CliError in Docker's words. */
export async function buildContext(where: string, file: string): Promise<BuildContext> {
  if (where === "-") return stdinContext(file);
  if (/^(https?:\/\/|git:\/\/|git@|github\.com\/)/.test(where))
    return { remote: where, dockerfile: file || "Dockerfile" };
  return directoryContext(where, file);
}

function directoryContext(path: string, file: string): BuildContext {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new CliError(`unable to prepare context: path ${JSON.stringify(path)} not found`);
  if (!stat.isDirectory())
    throw new CliError(`unable to prepare context: context must be a directory: ${resolve(path)}`);
  const root = realpathSync(path);
  let dockerfile = "Dockerfile";
  let outside: Uint8Array | undefined;
  if (file === "-") {
    outside = readFileSync(0);
  } else {
    // As people write it: relative to where they are; without a name, in the context.
    const wanted = file
      ? resolve(file)
      : join(root, existsSync(join(root, "Dockerfile")) ? "Dockerfile" : "dockerfile");
    if (!existsSync(wanted)) {
      throw new CliError(
        `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${file ? wanted : join(root, "Dockerfile")}: no such file or directory`,
      );
    }
    const inside = relative(root, join(realpathSync(dirname(wanted)), basename(wanted)));
    if (inside.startsWith("..")) outside = readFileSync(wanted);
    else dockerfile = inside;
  }
  // A Dockerfile from elsewhere gets a name that no file of the context has.
  if (outside) dockerfile = `.dockerfile.${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
  const rules = ignoreRules(root, dockerfile);
  const keep = (below: string) => below === dockerfile || below === ".dockerignore" || !rules.excludes(below);
  const tree = archiveTree(root, {
    name: ".",
    filter: keep,
    // Owners of this machine mean nothing in an image.
    adjust: (entry) => ({ ...entry, uid: 0, gid: 0 }),
    open: outside !== undefined,
  });
  return { dockerfile, body: outside ? withFile(tree, dockerfile, outside) : tree };
}

function ignoreRules(root: string, dockerfile: string): { excludes(path: string): boolean } {
  for (const name of [`${dockerfile}.dockerignore`, ".dockerignore"]) {
    const path = join(root, name);
    if (existsSync(path)) return dockerignore(readFileSync(path, "utf8"));
  }
  return { excludes: () => false };
}

async function stdinContext(file: string): Promise<BuildContext> {
  const source = readInput(undefined)[Symbol.asyncIterator]();
  const parts: Uint8Array[] = [];
  let have = 0;
  while (have < 512) {
    const { done, value } = await source.next();
    if (done) break;
    parts.push(value);
    have += value.length;
  }
  const head = Buffer.concat(parts);
  if (head.length === 0) throw new CliError("unable to prepare context: invalid context: empty stdin");
  async function* all(): AsyncGenerator<Uint8Array> {
    yield head;
    yield* { [Symbol.asyncIterator]: () => source };
  }
  if (isArchive(head)) return { body: all(), dockerfile: file || "Dockerfile" };
  if (file === "-") throw new CliError("invalid argument: can't use stdin for both build context and dockerfile");
  const text: Uint8Array[] = [];
  for await (const chunk of all()) text.push(chunk);
  return { body: withFile(nothing(), "Dockerfile", Buffer.concat(text)), dockerfile: "Dockerfile" };
}

function isArchive(head: Uint8Array): boolean {
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  const ustar = Buffer.from(head.subarray(257, 262)).toString() === "ustar";
  return (
    ustar ||
    starts(0x1f, 0x8b) ||
    starts(0x42, 0x5a, 0x68) ||
    starts(0xfd, 0x37, 0x7a, 0x58, 0x5a) ||
    starts(0x28, 0xb5, 0x2f, 0xfd)
  );
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* withFile(
  before: AsyncIterable<Uint8Array>,
  name: string,
  content: Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield* before;
  const entry: TarEntry = {
    name,
    type: "file",
    mode: 0o600,
    uid: 0,
    gid: 0,
    mtime: 0,
    size: content.length,
    linkname: "",
  };
  yield tarHeader(entry);
  yield content;
  yield tarPadding(content.length);
  yield tarEnd;
}
