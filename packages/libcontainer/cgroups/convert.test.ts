import { expect, test } from "bun:test";
import { cpuWeight, ioWeight, swapOnly } from "./convert.ts";
import { cgroupPath } from "./path.ts";

test("shares to weight keeps both ends and the default", () => {
  const pairs = [
    [2, 1],
    [1024, 100],
    [262144, 10000],
    [0, 1],
    [512, 59],
    [2048, 174],
    [300000, 10000],
  ];
  for (const [shares, weight] of pairs) expect([shares, cpuWeight(shares!)]).toEqual([shares, weight]);
  for (let shares = 3; shares < 262144; shares += 97)
    expect(cpuWeight(shares)).toBeLessThanOrEqual(cpuWeight(shares + 1));
});

test("blkio weight to io weight is linear", () => {
  expect([10, 100, 500, 1000].map(ioWeight)).toEqual([1, 910, 4950, 10000]);
});

test("swap without memory", () => {
  expect(swapOnly(0, 100)).toBeUndefined();
  expect(swapOnly(300, 100)).toBe(200);
  expect(swapOnly(100, 100)).toBe(0);
  expect(swapOnly(-1, 100)).toBe(-1);
  expect(swapOnly(0, -1)).toBe(-1);
  expect(swapOnly(500, -1)).toBe(500);
  expect(() => swapOnly(100, 0)).toThrow("unable to set swap limit without memory limit");
  expect(() => swapOnly(50, 100)).toThrow("memory+swap limit should be >= memory limit");
});

test("paths stay below the root", () => {
  expect(cgroupPath("/docker//abc/")).toBe("docker/abc");
  expect(cgroupPath("./a/./b")).toBe("a/b");
  for (const bad of ["", "/", "..", "a/../../b", "a/..", ".", "a\0b", "x".repeat(4000)])
    expect(() => cgroupPath(bad)).toThrow("invalid cgroup path");
});
