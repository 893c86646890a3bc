import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { libc } from "./libc.ts";

const musl = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-musl/libc.so`;

// One missing name and nothing at all would load on a host with musl.
test.skipIf(!existsSync(musl))("musl has every function that is called by name", () => {
  const { stdout } = Bun.spawnSync(["nm", "-D", "--defined-only", musl]);
  const defined = new Set(
    stdout
      .toString()
      .split("\n")
      .map((line) => line.split(" ").at(-1)),
  );
  expect(defined.size).toBeGreaterThan(1000);
  expect(Object.keys(libc).filter((name) => !defined.has(name))).toEqual([]);
});
