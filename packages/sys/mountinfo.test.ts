import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MNT, mount, mountPoints, umount } from "./index.ts";

const place = mkdtempSync(join(tmpdir(), "gantry sys\t"));
afterEach(() => rmSync(place, { recursive: true, force: true }));

test.skipIf(process.getuid?.() !== 0)("mount points are named as they are, spaces and tabs too", () => {
  expect(mountPoints()).not.toContain(place);
  mount("none", place, "tmpfs", 0);
  try {
    expect(mountPoints().at(-2)).toBe(place);
  } finally {
    umount(place, MNT.DETACH);
  }
});
