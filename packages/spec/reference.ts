import type { Digest } from "./digest.ts";
import { type GantryError, invalidParameter } from "./errors.ts";

/**
 * An image reference with its registry spelled out: `busybox` is domain `docker.io`, path `library/busybox`. Neither
 * tag nor digest, one, or both may be there.
 */
export interface Reference {
  readonly domain: string;
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const DEFAULT_DOMAIN = "docker.io";
const LEGACY_DOMAIN = "index.docker.io";
const OFFICIAL_PREFIX = "library/";
const DEFAULT_TAG = "latest";
const MAX_PATH = 255;
/** Longer than any valid reference: 255 for the path, 128 for the tag, a digest and a host name (253) with port. */
const MAX_TEXT = 2048;

// The grammar of github.com/distribution/reference, each repetition written so that matching stays linear.
const LABEL = "[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*";
const HOST = `(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])`;
const DOMAIN = `${HOST}(?::[0-9]+)?`;
const COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const PATH = `${COMPONENT}(?:/${COMPONENT})*`;
const TAG = "[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}";
const DIGEST = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const REFERENCE = new RegExp(`^(?:(${DOMAIN})/)?(${PATH})(?::(${TAG}))?(?:@(${DIGEST}))?$`);
const IDENTIFIER = /^[a-f0-9]{64}$/;
const ANCHORED_TAG = new RegExp(`^${TAG}$`);

/**
 * Reads a reference as people write it. The default registry and the `library/` folder are filled in, the tag is not
 * (see withDefaultTag). Throws invalidParameter in the words that Docker uses.
 */
export function parseReference(text: string): Reference {
  if (IDENTIFIER.test(text)) {
    throw invalidParameter(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  if (text.length > MAX_TEXT) throw invalidFormat();
  const [domain, remainder] = splitDomain(text);
  const colon = remainder.indexOf(":");
  const remote = colon < 0 ? remainder : remainder.slice(0, colon);
  if (remote.toLowerCase() !== remote) {
    throw invalidParameter(`invalid reference format: repository name (${remote}) must be lowercase`);
  }
  const match = REFERENCE.exec(`${domain}/${remainder}`);
  if (!match?.[1]) throw invalidFormat();
  const path = match[2]!;
  if (path.length > MAX_PATH) throw invalidParameter("repository name must not be more than 255 characters");
  const reference: { -readonly [K in keyof Reference]: Reference[K] } = { domain: match[1], path };
  if (match[3]) reference.tag = match[3];
  if (match[4]) reference.digest = checkDigest(match[4]);
  return reference;
}

/**
 * Reads what a client may name an image by: a full image ID or a digest alone (returned as `{ id }`), else a
 * reference.
 */
export function parseAnyReference(text: string): Reference | { readonly id: Digest } {
  if (IDENTIFIER.test(text)) return { id: `sha256:${text}` };
  if (/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(text)) return { id: text as Digest };
  return parseReference(text);
}

/** Whether the text could be a full or shortened image ID: `sha256:` before or not, 1 to 64 lower-case hex digits. */
export function isImageIdPrefix(text: string): boolean {
  return /^(?:sha256:)?[a-f0-9]{1,64}$/.test(text);
}

/** Domain and path: `docker.io/library/busybox`. */
export function referenceName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The whole reference: `docker.io/library/busybox:latest@sha256:…`. */
export function referenceString(reference: Reference): string {
  return referenceName(reference) + suffix(reference);
}

/** The name as people write it: `busybox`, `team/app`, `localhost:5000/app`. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return referenceName(reference);
  const official = reference.path.startsWith(OFFICIAL_PREFIX);
  const remainder = official ? reference.path.slice(OFFICIAL_PREFIX.length) : reference.path;
  return official && remainder.includes("/") ? reference.path : remainder;
}

/** The whole reference as people write it: `busybox:latest`. */
export function familiarString(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

/** The reference with `:latest` where it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return isNameOnly(reference) ? { ...reference, tag: DEFAULT_TAG } : reference;
}

/** The reference with another tag; the digest goes. Throws invalidParameter for a malformed tag. */
export function withTag(reference: Reference, tag: string): Reference {
  if (!isTag(tag)) throw invalidParameter("invalid tag format");
  return { domain: reference.domain, path: reference.path, tag };
}

/** The reference with another digest and no tag. */
export function withDigest(reference: Reference, digest: Digest): Reference {
  return { domain: reference.domain, path: reference.path, digest };
}

/** Only the name: tag and digest taken off. */
export function trimReference(reference: Reference): Reference {
  return { domain: reference.domain, path: reference.path };
}

/** Whether the reference has neither tag nor digest. */
export function isNameOnly(reference: Reference): boolean {
  return reference.tag === undefined && reference.digest === undefined;
}

/** Throws invalidParameter for the name of a digest algorithm, under which nothing could be found again. */
export function refuseAmbiguousTag(reference: Reference): void {
  if (familiarName(reference) === "sha256") {
    throw invalidParameter("refusing to create an ambiguous tag using digest algorithm as name");
  }
}

/** Whether the text is a well-formed tag. */
export function isTag(text: string): boolean {
  return ANCHORED_TAG.test(text);
}

/**
 * Whether a pattern (`path.Match`: `*`, `?`, `[a-z]`; no star crosses a slash) or a name fits a reference: against
 * the familiar string, the familiar name, and the whole ones. Used by `images` with a `reference` filter. Throws
 * invalidParameter for a malformed pattern.
 */
export function matchesReference(pattern: string, reference: Reference): boolean {
  const regexp = compilePattern(pattern);
  return (
    regexp.test(familiarString(reference)) ||
    regexp.test(familiarName(reference)) ||
    regexp.test(referenceString(reference)) ||
    regexp.test(referenceName(reference))
  );
}

function splitDomain(text: string): [domain: string, remainder: string] {
  const slash = text.indexOf("/");
  if (slash < 0) return [DEFAULT_DOMAIN, OFFICIAL_PREFIX + text];
  const first = text.slice(0, slash);
  const rest = text.slice(slash + 1);
  if (first === LEGACY_DOMAIN || first === DEFAULT_DOMAIN) {
    return [DEFAULT_DOMAIN, rest.includes("/") ? rest : OFFICIAL_PREFIX + rest];
  }
  // An upper-case first element cannot be a namespace, so it must be a host.
  if (first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first) return [first, rest];
  return [DEFAULT_DOMAIN, text];
}

function suffix(reference: Reference): string {
  return (reference.tag ? `:${reference.tag}` : "") + (reference.digest ? `@${reference.digest}` : "");
}

function invalidFormat(): GantryError {
  return invalidParameter("invalid reference format");
}

function checkDigest(text: string): Digest {
  const [algorithm, hex] = text.split(":") as [string, string];
  const length = { sha256: 64, sha384: 96, sha512: 128 }[algorithm];
  if (!length || algorithm === "sha384") throw invalidParameter("unsupported digest algorithm");
  if (hex.length !== length) throw invalidParameter("invalid checksum digest length");
  if (hex.toLowerCase() !== hex) throw invalidParameter("invalid checksum digest format");
  return text as Digest;
}

function compilePattern(pattern: string): RegExp {
  if (pattern.length > MAX_TEXT) throw invalidParameter("syntax error in pattern");
  let source = "";
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (char === "*") {
      // Runs of stars mean what one does; one regexp star keeps matching cheap.
      while (pattern[i + 1] === "*") i++;
      source += "[^/]*";
    } else if (char === "?") {
      source += "[^/]";
    } else if (char === "\\") {
      i++;
      if (i >= pattern.length) throw invalidParameter("syntax error in pattern");
      source += quote(pattern[i]!);
    } else if (char === "[") {
      const end = pattern.indexOf("]", i + 2);
      if (end < 0) throw invalidParameter("syntax error in pattern");
      const body = pattern.slice(i + 1, end);
      const negated = body.startsWith("^");
      const inner = (negated ? body.slice(1) : body).replace(/[\\\]^]/g, "\\$&");
      if (!inner || /(^|[^\\])-$|^-/.test(inner)) throw invalidParameter("syntax error in pattern");
      try {
        source += new RegExp(`[${negated ? "^" : ""}${inner}]`).source;
      } catch {
        throw invalidParameter("syntax error in pattern");
      }
      i = end;
    } else {
      source += quote(char);
    }
  }
  return new RegExp(`^${source}$`);
}

function quote(char: string): string {
  return char.replace(/[.*+?^${}()|[\]\\/]/, "\\$&");
}
