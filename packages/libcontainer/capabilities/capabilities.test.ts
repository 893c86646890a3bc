import { expect, test } from "bun:test";
import {
  ALL_CAPABILITIES,
  capabilityBit,
  capabilityMask,
  DEFAULT_CAPABILITIES,
  normalizeCapabilities,
  tweakCapabilities,
} from "./index.ts";

test("bits are the kernel's", () => {
  const bits = { CAP_CHOWN: 0, CAP_KILL: 5, CAP_SYS_ADMIN: 21, CAP_SETFCAP: 31, CAP_CHECKPOINT_RESTORE: 40 };
  for (const [name, bit] of Object.entries(bits)) expect([name, capabilityBit(name)]).toEqual([name, bit]);
  expect(capabilityBit("CAP_NONE")).toBe(-1);
  expect(capabilityBit("chown")).toBe(-1);
  // What /proc/self/status shows in every default container of Docker's.
  expect(capabilityMask(DEFAULT_CAPABILITIES).toString(16)).toBe("a80425fb");
});

test("all is what the kernel has and this process holds", async () => {
  const status = await Bun.file("/proc/self/status").text();
  const permitted = BigInt(`0x${/CapPrm:\s*(\w+)/.exec(status)![1]}`);
  expect(capabilityMask(ALL_CAPABILITIES)).toBe(permitted);
});

test("adding and dropping", () => {
  const except = (...names: string[]) => DEFAULT_CAPABILITIES.filter((name) => !names.includes(name));
  expect(tweakCapabilities([], [], false)).toEqual([...DEFAULT_CAPABILITIES]);
  expect(tweakCapabilities([], ["mknod", "CAP_kill"], false)).toEqual(except("CAP_MKNOD", "CAP_KILL"));
  expect(tweakCapabilities(["net_admin"], [], false)).toEqual([...DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"]);
  expect(tweakCapabilities(["chown"], [], false)).toEqual([...DEFAULT_CAPABILITIES]);
  expect(tweakCapabilities(["net_admin"], ["ALL"], false)).toEqual(["CAP_NET_ADMIN"]);
  expect(tweakCapabilities([], ["all"], false)).toEqual([]);
  expect(tweakCapabilities(["ALL"], ["sys_admin"], false)).toEqual(
    ALL_CAPABILITIES.filter((name) => name !== "CAP_SYS_ADMIN"),
  );
  // ALL is no name of a capability: dropping it takes nothing from adding it.
  expect(tweakCapabilities(["ALL"], ["ALL"], false)).toEqual([...ALL_CAPABILITIES]);
  expect(tweakCapabilities(["chown"], ["mknod"], true)).toEqual([...ALL_CAPABILITIES]);
});

test("unknown names are refused in Docker's words", () => {
  expect(() => tweakCapabilities(["chwon"], [], false)).toThrow('unknown capability: "CAP_CHWON"');
  expect(() => normalizeCapabilities(["CAP_ALL"])).toThrow('unknown capability: "CAP_ALL"');
  expect(() => normalizeCapabilities([""])).toThrow('unknown capability: "CAP_"');
});
