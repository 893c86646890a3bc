import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { checkPropagation, mountOf } from "./propagation.ts";

const MOUNTINFO = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw
30 21 0:5 / /a rw,relatime - tmpfs tmpfs rw
31 30 0:6 / /a/with\\040space rw,relatime master:3 - tmpfs tmpfs rw
32 21 0:7 / /a rw,relatime shared:9 - tmpfs tmpfs rw
`;

test("the mount that a path is in", () => {
  expect(mountOf("/b/c", MOUNTINFO)).toEqual({ point: "/", tags: ["shared:1"] });
  expect(mountOf("/ab", MOUNTINFO).point).toBe("/");
  expect(mountOf("/a/with space/x", MOUNTINFO)).toEqual({ point: "/a/with space", tags: ["master:3"] });
  // The later one lies over the earlier.
  expect(mountOf("/a", MOUNTINFO)).toEqual({ point: "/a", tags: ["shared:9"] });
});

test("private modes ask for nothing", () => {
  for (const mode of ["rprivate", "private", ""]) expect(() => checkPropagation("/no/such/path", mode)).not.toThrow();
});

test("what cannot propagate is refused", () => {
  const { tags } = mountOf("/proc", readFileSync("/proc/self/mountinfo", "utf8"));
  const shared = () => checkPropagation("/proc", "rshared");
  if (tags.some((tag) => tag.startsWith("shared:"))) expect(shared).not.toThrow();
  else expect(shared).toThrow("path /proc is mounted on /proc but it is not a shared mount");
});
