import { expect, test } from "bun:test";
import { checkTmpfsOptions, parseBind, parseMount, parseMounts } from "./mounts.ts";

test("-v in all its forms", () => {
  expect(parseBind("/a:/b")).toMatchObject({
    type: "bind",
    source: "/a",
    target: "/b",
    readOnly: false,
    propagation: "rprivate",
  });
  expect(parseBind("/a/../c:/b/:ro,rslave")).toMatchObject({
    source: "/c",
    target: "/b",
    readOnly: true,
    propagation: "rslave",
  });
  expect(parseBind("name:/b:nocopy")).toMatchObject({ type: "volume", source: "name", noCopy: true });
});

test("-v refused", () => {
  const cases: [string, string][] = [
    ["", "invalid volume specification: ''"],
    ["a:b:c:d", "invalid volume specification"],
    ["/a:b", "mount path must be absolute"],
    ["/a:/", "destination can't be '/'"],
    ["/a:/b:zz", "invalid mode: zz"],
    ["/a:/b:ro,rw", "invalid mode: ro,rw"],
    ["/a:/b:nocopy", "field VolumeOptions must not be specified"],
    ["x!:/b", "includes invalid characters for a local volume name"],
  ];
  for (const [text, words] of cases) {
    let message = "accepted";
    try {
      parseBind(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect([text, message]).toEqual([text, expect.stringContaining(words)]);
  }
});

test("--mount checks its fields", () => {
  expect(parseMount({ Type: "tmpfs", Target: "/t" })).toMatchObject({ type: "tmpfs", target: "/t" });
  expect(() => parseMount({ Type: "bind", Target: "/t" })).toThrow("field Source must not be empty");
  expect(() => parseMount({ Type: "bind", Source: "rel", Target: "/t" })).toThrow("mount path must be absolute");
  expect(() => parseMount({ Type: "nope", Target: "/t" })).toThrow("mount type unknown");
  expect(() => parseMount({ Type: "bind", Source: "/a", Target: "/t", TmpfsOptions: {} })).toThrow(
    "field TmpfsOptions must not be specified",
  );
  expect(() => parseMount({ Type: "volume", Source: "vol", Target: "/t", VolumeOptions: { Subpath: "../x" } })).toThrow(
    "subpath must be a relative path",
  );
});

test("one place, one mount; the image's volumes give way", () => {
  expect(() => parseMounts({ Binds: ["/a:/x", "/b:/x/"] }, [])).toThrow("Duplicate mount point: /x");
  expect(parseMounts({ Binds: ["/a:/x"] }, ["/x", "/y"]).map(({ target }) => target)).toEqual(["/x", "/y"]);
});

test("tmpfs options", () => {
  checkTmpfsOptions("rw,size=1m,mode=1777");
  expect(() => checkTmpfsOptions("evil")).toThrow('invalid tmpfs option "evil"');
});
