import { invalidParameter } from "./errors.ts";

/** A content digest, `algorithm:hex` (OCI image spec, descriptor.md). Only sha256 and sha512 are accepted. */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether the text is a digest with a registered algorithm and the right length, in lower-case hex. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** The text as a digest. Throws invalidParameter where it is none. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw invalidParameter(`invalid checksum digest format: ${JSON.stringify(text.slice(0, 200))}`);
  return text;
}

/** The algorithm of a digest, as a blob path's folder name. */
export function digestAlgorithm(digest: Digest): "sha256" | "sha512" {
  return digest.startsWith("sha256:") ? "sha256" : "sha512";
}

/** The hex part of a digest. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}
