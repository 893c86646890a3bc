import { expect, test } from "bun:test";
import type { ContainerCreateRequest, Mount } from "@gantry/spec";
import { modernise } from "./containers-versions.ts";

const request = (): ContainerCreateRequest => ({
  Image: "busybox",
  Healthcheck: { Test: ["CMD", "true"], StartInterval: 1e9 },
  HostConfig: {
    AutoRemove: true,
    Annotations: { a: "b" },
    ConsoleSize: [20, 30],
    KernelMemory: 10 << 20,
    KernelMemoryTCP: 1 << 20,
    Mounts: [
      {
        Type: "bind",
        Source: "/tmp",
        Target: "/t",
        ReadOnly: true,
        BindOptions: { NonRecursive: true, CreateMountpoint: true },
      },
    ],
  },
});

/** Which of the fields a version keeps, and what it puts in. */
function seen(api: number) {
  const body = request();
  modernise(body, api);
  const host = body.HostConfig;
  return {
    fields: ["AutoRemove", "KernelMemoryTCP", "ConsoleSize", "KernelMemory", "Annotations"].filter(
      (field) => host?.[field as "AutoRemove"] !== undefined,
    ),
    ipc: host?.IpcMode,
    bind: Object.keys(host?.Mounts?.[0]?.BindOptions ?? {}),
    startInterval: body.Healthcheck?.StartInterval !== undefined,
  };
}

test("each version has its own fields", () => {
  expect(seen(24)).toEqual({
    fields: ["KernelMemory"],
    ipc: "shareable",
    bind: ["ReadOnlyNonRecursive"],
    startInterval: false,
  });
  expect(seen(39).fields).toEqual(["AutoRemove", "KernelMemory"]);
  expect(seen(40)).toEqual({
    fields: ["AutoRemove", "KernelMemoryTCP", "KernelMemory"],
    ipc: undefined,
    bind: ["NonRecursive", "ReadOnlyNonRecursive"],
    startInterval: false,
  });
  expect(seen(42).fields).toEqual(["AutoRemove", "KernelMemoryTCP", "ConsoleSize"]);
  expect(seen(43).bind).toEqual(["NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive"]);
  expect(seen(44)).toEqual({
    fields: ["AutoRemove", "KernelMemoryTCP", "ConsoleSize", "Annotations"],
    ipc: undefined,
    bind: ["NonRecursive", "CreateMountpoint"],
    startInterval: true,
  });
});

test("what a version cannot do is refused", () => {
  const mounts = (mount: Mount): ContainerCreateRequest => ({ HostConfig: { Mounts: [mount] } });
  const forced = { Type: "bind", Source: "/", Target: "/t", BindOptions: { ReadOnlyForceRecursive: true } } as const;
  const part = { Type: "volume", Source: "v", Target: "/t", VolumeOptions: { Subpath: "a" } } as const;
  const image = { Type: "image", Source: "i", Target: "/t" } as const;
  const networks = { NetworkingConfig: { EndpointsConfig: { b: {}, a: {} } } };
  const cases: [ContainerCreateRequest, since: number, words: string][] = [
    [mounts(forced), 44, "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"],
    [mounts(part), 45, "VolumeOptions.Subpath needs API v1.45 or newer"],
    [mounts(image), 48, 'Mount type "Image" needs API v1.48 or newer'],
    [networks, 44, "Container cannot be created with multiple network endpoints: a, b"],
    [
      { HostConfig: { Sysctls: { "net.ipv4.conf.eth1.forwarding": "1" } } },
      48,
      "unable to determine network endpoint for sysctl net.ipv4.conf.eth1.forwarding",
    ],
  ];
  for (const [body, since, words] of cases) {
    expect(() => modernise(structuredClone(body), since - 1)).toThrow(words);
    expect(modernise(structuredClone(body), since)).toEqual([]);
  }
});

test("the hardware address belongs to the endpoint since 1.44", () => {
  const body = (MacAddress: string) => ({
    MacAddress: "02:42:aa:bb:cc:dd",
    NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress } } },
  });
  expect(modernise(body("02:42:aa:bb:cc:dd"), 44)).toEqual([expect.stringContaining("now deprecated")]);
  expect(modernise(body("02:42:aa:bb:cc:de"), 43)).toEqual([]);
  expect(() => modernise(body("02:42:aa:bb:cc:de"), 44)).toThrow("must match the endpoint-specific MAC address");
});
