import { describe, expect, test } from "bun:test";
import { GantryError } from "./errors.ts";
import {
  familiarName,
  familiarString,
  isImageIdPrefix,
  isTag,
  matchesReference,
  parseAnyReference,
  parseReference,
  referenceName,
  referenceString,
  trimReference,
  withDefaultTag,
  withDigest,
  withTag,
} from "./reference.ts";

const hex = "0123456789abcdef".repeat(4);
const digest = `sha256:${hex}` as const;

const errorOf = (text: string): string => {
  try {
    parseReference(text);
  } catch (error) {
    expect(error).toBeInstanceOf(GantryError);
    expect((error as GantryError).kind).toBe("invalidParameter");
    return (error as Error).message;
  }
  return "no error";
};

describe("names as people write them", () => {
  const cases: [text: string, full: string, familiar: string][] = [
    ["busybox", "docker.io/library/busybox", "busybox"],
    ["docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["docker.io/library/busybox", "docker.io/library/busybox", "busybox"],
    ["index.docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["library/busybox", "docker.io/library/busybox", "busybox"],
    ["library/a/b", "docker.io/library/a/b", "library/a/b"],
    ["team/app", "docker.io/team/app", "team/app"],
    ["localhost/app", "localhost/app", "localhost/app"],
    ["localhost:5000/app", "localhost:5000/app", "localhost:5000/app"],
    ["127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"],
    ["[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"],
    ["[fe80::1]/app", "[fe80::1]/app", "[fe80::1]/app"],
    ["ghcr.io/a/b/c-d__e.f", "ghcr.io/a/b/c-d__e.f", "ghcr.io/a/b/c-d__e.f"],
    ["UPPER/app", "UPPER/app", "UPPER/app"],
    ["Registry.example.com/app", "Registry.example.com/app", "Registry.example.com/app"],
    ["a---b", "docker.io/library/a---b", "a---b"],
    ["xn--7o8h.com/app", "xn--7o8h.com/app", "xn--7o8h.com/app"],
  ];
  for (const [text, full, familiar] of cases) {
    test(text, () => {
      const reference = parseReference(text);
      expect(referenceName(reference)).toBe(full);
      expect(familiarName(reference)).toBe(familiar);
    });
  }
});

describe("tags and digests", () => {
  test("a tag", () => {
    expect(parseReference("busybox:1.36")).toEqual({ domain: "docker.io", path: "library/busybox", tag: "1.36" });
    expect(parseReference("localhost:5000/a:B_c-d.E").tag).toBe("B_c-d.E");
  });
  test("a digest", () => {
    expect(parseReference(`busybox@${digest}`)).toEqual({ domain: "docker.io", path: "library/busybox", digest });
    expect(parseReference(`a@sha512:${hex}${hex}`).digest).toBe(`sha512:${hex}${hex}`);
  });
  test("both", () => {
    const reference = parseReference(`localhost:5000/a:v1@${digest}`);
    expect(reference).toEqual({ domain: "localhost:5000", path: "a", tag: "v1", digest });
    expect(referenceString(reference)).toBe(`localhost:5000/a:v1@${digest}`);
    expect(familiarString(parseReference(`a:v1@${digest}`))).toBe(`a:v1@${digest}`);
  });
  test("a name alone gets latest, others stay", () => {
    expect(familiarString(withDefaultTag(parseReference("a")))).toBe("a:latest");
    expect(familiarString(withDefaultTag(parseReference("a:b")))).toBe("a:b");
    expect(familiarString(withDefaultTag(parseReference(`a@${digest}`)))).toBe(`a@${digest}`);
  });
  test("tags and digests can be put on and taken off", () => {
    const reference = parseReference(`a:v1@${digest}`);
    expect(familiarString(withTag(reference, "v2"))).toBe("a:v2");
    expect(familiarString(withDigest(parseReference("a:v1"), digest))).toBe(`a@${digest}`);
    expect(familiarString(trimReference(reference))).toBe("a");
    expect(() => withTag(reference, "no/tag")).toThrow("invalid tag format");
  });
  test("the length of a tag is bounded", () => {
    expect(isTag("a".repeat(128))).toBe(true);
    expect(isTag("a".repeat(129))).toBe(false);
    expect(errorOf(`a:${"b".repeat(129)}`)).toBe("invalid reference format");
    expect(isTag("")).toBe(false);
    expect(isTag("-a")).toBe(false);
    expect(isTag(".a")).toBe(false);
  });
});

describe("refusals", () => {
  const cases: [text: string, message: string][] = [
    ["", "invalid reference format"],
    [":", "invalid reference format"],
    [":tag", "invalid reference format"],
    ["a:", "invalid reference format"],
    ["a@", "invalid reference format"],
    ["a:b:c", "invalid reference format"],
    ["a//b", "invalid reference format"],
    ["/a", "invalid reference format"],
    ["a/", "invalid reference format"],
    ["-a", "invalid reference format"],
    ["a-", "invalid reference format"],
    ["a..b", "invalid reference format"],
    ["a___b", "invalid reference format"],
    ["a b", "invalid reference format"],
    ["a\n", "invalid reference format"],
    ["https://example.com/a", "invalid reference format"],
    ["-foo.com/a", "invalid reference format"],
    ["foo.com:port/a", "invalid reference format"],
    ["../../etc/passwd", "invalid reference format"],
    ["a@sha256:abc", "invalid reference format"],
    [`a@sha256:${hex}00`, "invalid checksum digest length"],
    [`a@sha1:${hex.slice(0, 40)}`, "unsupported digest algorithm"],
    [`a@sha256:${hex.toUpperCase()}`, "invalid checksum digest format"],
    ["Foo", "invalid reference format: repository name (library/Foo) must be lowercase"],
    ["Foo:latest", "invalid reference format: repository name (library/Foo) must be lowercase"],
    ["a/Foo", "invalid reference format: repository name (a/Foo) must be lowercase"],
    ["localhost:5000/Foo:Bar", "invalid reference format: repository name (Foo) must be lowercase"],
    [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
    [`localhost/${"a".repeat(256)}`, "repository name must not be more than 255 characters"],
  ];
  for (const [text, message] of cases) {
    test(JSON.stringify(text.slice(0, 60)), () => expect(errorOf(text)).toBe(message));
  }
  test("255 characters of path are still good", () => {
    expect(parseReference(`localhost/${"a".repeat(255)}`).path.length).toBe(255);
  });
  test("hostile lengths cost no time", () => {
    const start = performance.now();
    for (const text of [
      "a-".repeat(1e6),
      "a".repeat(2e6),
      `a/${"-".repeat(2000)}`,
      `${"a.".repeat(1000)}!`,
      "a_".repeat(1000),
    ]) {
      expect(errorOf(text)).not.toBe("no error");
    }
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});

describe("image IDs", () => {
  test("a full ID or a digest alone is an ID, not a name", () => {
    expect(parseAnyReference(hex)).toEqual({ id: digest });
    expect(parseAnyReference(digest)).toEqual({ id: digest });
    expect(parseAnyReference("busybox")).toEqual({ domain: "docker.io", path: "library/busybox" });
    // 63 digits may be a name as well.
    expect(parseAnyReference(hex.slice(1))).toEqual({ domain: "docker.io", path: `library/${hex.slice(1)}` });
  });
  test("prefixes", () => {
    expect(isImageIdPrefix("abc123")).toBe(true);
    expect(isImageIdPrefix("sha256:abc")).toBe(true);
    expect(isImageIdPrefix("xyz")).toBe(false);
    expect(isImageIdPrefix("")).toBe(false);
    expect(isImageIdPrefix(`${hex}0`)).toBe(false);
  });
});

describe("patterns", () => {
  const app = parseReference("localhost:5000/team/app:v1");
  const busy = parseReference("busybox:1.36");
  const cases: [pattern: string, reference: typeof app, fits: boolean][] = [
    ["busybox", busy, true],
    ["busybox:1.36", busy, true],
    ["busy*", busy, true],
    ["busybox:1.*", busy, true],
    ["*:1.36", busy, true],
    ["docker.io/library/busybox", busy, true],
    ["b?sybox", busy, true],
    ["b[a-z]sybox", busy, true],
    ["b[^a-z]sybox", busy, false],
    ["*", app, false],
    ["*/*/app", app, true],
    ["*/team/*", app, true],
    ["localhost:5000/team/app", app, true],
    ["other", busy, false],
    ["busybox.", busy, false],
  ];
  for (const [pattern, reference, fits] of cases) {
    test(`${pattern} ${fits ? "fits" : "does not fit"} ${familiarString(reference)}`, () => {
      expect(matchesReference(pattern, reference)).toBe(fits);
    });
  }
  test("malformed patterns are refused", () => {
    for (const pattern of ["[", "[a", "a\\", "[]", "[z-a]", "[-]"]) {
      expect(() => matchesReference(pattern, busy)).toThrow("syntax error in pattern");
    }
  });
});
