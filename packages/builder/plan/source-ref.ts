import { invalidParameter } from "@gantry/spec";

/** Where an ADD source, or a whole build context, comes from. */
export type SourceRef = { type: "local"; path: string } | { type: "http"; url: string } | { type: "git"; ref: GitRef };

/** A git address: `remote#ref:subdir`. */
export interface GitRef {
  remote: string;
  /** Branch, tag or commit; "" for the default branch. */
  ref: string;
  subdir: string;
}

const HTTP = /^https?:\/\//;
const GIT = /^(?:git:\/\/|git@|ssh:\/\/|github\.com\/)|^https?:\/\/[^#?]*\.git(?:#.*)?$/;

/** Reads what stands as an ADD source. COPY's sources are always local. */
export function parseSourceRef(text: string): SourceRef {
  if (GIT.test(text)) return { type: "git", ref: parseGitRef(text) };
  if (HTTP.test(text)) return { type: "http", url: text };
  return { type: "local", path: text };
}

/** Splits `remote#ref:subdir`. Throws invalidParameter for parts that git could take for options. */
export function parseGitRef(text: string): GitRef {
  const hash = text.indexOf("#");
  let remote = hash < 0 ? text : text.slice(0, hash);
  const fragment = hash < 0 ? "" : text.slice(hash + 1);
  const colon = fragment.indexOf(":");
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  const subdir = colon < 0 ? "" : fragment.slice(colon + 1);
  if (remote.startsWith("github.com/")) remote = `https://${remote}`;
  if (remote.startsWith("-") || ref.startsWith("-")) throw invalidParameter(`invalid git reference: ${text}`);
  return { remote, ref, subdir };
}
