import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { close, O, open } from "@gantry/sys";
import { extract } from "./extract.ts";
import type { ExtractOptions, ExtractResult } from "./extractor.ts";
import { pack } from "./pack.ts";
import type { PackOptions } from "./packer.ts";
import { encodeHeader, type MemberHeader, padding, TRAILER } from "./writer.ts";

/** Helpers of this package's tests. */

export type TestMember = MemberHeader & { content?: string | Uint8Array };

/** A tar of the given members; `content` gives the size. */
export function tarOf(...members: TestMember[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { content, ...member } of members) {
    const bytes = Buffer.from(content ?? "");
    parts.push(encodeHeader({ ...member, size: bytes.length }), bytes, padding(bytes.length));
  }
  return new Uint8Array(Buffer.concat([...parts, TRAILER]));
}

/** A stream of the bytes in pieces of the given size. */
export function streamOf(bytes: Uint8Array, piece = 1 << 16): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + piece));
      at += piece;
    },
  });
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

export const sha256 = (bytes: Uint8Array) =>
  `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}` as `sha256:${string}`;

/** A new directory under the system's temporary one, removed when the test's scope ends. */
export function scratch(): { path: string } & Disposable {
  const path = mkdtempSync(`${tmpdir()}/gantry-test-`);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Extracts to a directory by path. */
export async function extractTo(
  path: string,
  archive: Uint8Array | ReadableStream<Uint8Array>,
  options: ExtractOptions = {},
): Promise<ExtractResult> {
  const fd = open(path, O.RDONLY | O.DIRECTORY);
  try {
    return await extract(archive instanceof Uint8Array ? streamOf(archive) : archive, fd, options);
  } finally {
    close(fd);
  }
}

/** Packs a directory by path. */
export async function packFrom(path: string, options: PackOptions = {}): Promise<Uint8Array> {
  const fd = open(path, O.RDONLY | O.DIRECTORY);
  try {
    return await bytesOf(pack(fd, options));
  } finally {
    close(fd);
  }
}

/**
 * The error that a promise ends in; fails the test where it does not. (`expect().rejects` runs a nested event loop, in
 * which Atomics.waitAsync never comes to its turn.)
 */
export async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected a failure");
}

/** Runs a program; throws with its words where it fails. */
export function run(command: string[], options: { cwd?: string; stdin?: Uint8Array } = {}): string {
  const done = Bun.spawnSync(command, { cwd: options.cwd, stdin: options.stdin, env: { ...process.env, LC_ALL: "C" } });
  if (done.exitCode !== 0) throw new Error(`${command.join(" ")}: ${done.stderr.toString()}`);
  return done.stdout.toString();
}
