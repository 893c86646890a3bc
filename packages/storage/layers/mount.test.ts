import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mount } from "@gantry/sys";
import { clearPlace, mountByPage, mountOverlay } from "./mount.ts";

let base: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-mount-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function layer(name: string, files: Record<string, string>): string {
  mkdirSync(`${base}/${name}`, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(`${base}/${name}/${file}`, text);
  return `${base}/${name}`;
}

// What this kernel has no need of, old ones have: Debian 12's and Ubuntu 22.04's go this way.
for (const [name, way] of Object.entries({ context: mountOverlay, page: mountByPage })) {
  test(`an overlay by ${name}: the topmost layer counts, writes go to the upper directory, nothing stays mounted`, () => {
    const lower = [layer("b,:2", { file: "second", own: "2" }), layer("a", { file: "first", other: "1" })];
    const [upper, work] = [layer("upper", {}), layer("work", {})];
    const view = way(lower, { upper, work }, `${base}/at`);
    const root = `/proc/self/fd/${view.fd}`;
    expect(readFileSync(`${root}/file`, "utf8")).toBe("second");
    expect(readdirSync(root).sort()).toEqual(["file", "other", "own"]);
    writeFileSync(`${root}/file`, "third");
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(base);
    view.close();
    expect(readFileSync(`${upper}/file`, "utf8")).toBe("third");
    expect(existsSync(`${base}/at`) ? readdirSync(`${base}/at`) : []).toEqual([]);

    const reader = way([upper, ...lower], null, `${base}/at`);
    expect(readFileSync(`/proc/self/fd/${reader.fd}/file`, "utf8")).toBe("third");
    expect(() => writeFileSync(`/proc/self/fd/${reader.fd}/file`, "")).toThrow("EROFS");
    reader.close();
  });

  test(`127 layers by ${name}`, () => {
    const lower = Array.from({ length: 127 }, (_, i) =>
      layer(`layer-with-a-name-that-is-long-${i}`, { [`f${i}`]: "" }),
    );
    const view = way(lower, null, `${base}/at`);
    expect(readdirSync(`/proc/self/fd/${view.fd}`)).toHaveLength(127);
    view.close();
  });
}

test("what a killed daemon left mounted is taken away", () => {
  mkdirSync(`${base}/at/one`, { recursive: true });
  mkdirSync(`${base}/at/two`);
  mount("none", `${base}/at/one`, "tmpfs", 0);
  clearPlace(`${base}/at`);
  expect(readdirSync(`${base}/at`)).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(base);
});
