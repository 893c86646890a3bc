import { expect, test } from "bun:test";
import type { ContainerSummary, ImageSummary, SystemInfo } from "@gantry/spec";
import { summaryFor } from "./containers-versions.ts";
import { listEntryFor } from "./images-versions.ts";
import { infoFor } from "./info-versions.ts";

const info = {
  RegistryConfig: { Mirrors: null },
  ContainerdCommit: { ID: "a" },
  RuncCommit: { ID: "b" },
  InitCommit: { ID: "" },
  FirewallBackend: { Driver: "nftables" },
} as unknown as SystemInfo;

test("info: what older versions had, and what they did not know", () => {
  expect(infoFor(info, 50)).toEqual(info);
  expect(infoFor(info, 49)).toMatchObject({ FirewallBackend: { Driver: "nftables" }, BridgeNfIptables: false });
  const old = infoFor(info, 40);
  expect(old.FirewallBackend).toBeUndefined();
  expect(old).toMatchObject({
    KernelMemory: true,
    BridgeNfIp6tables: false,
    RuncCommit: { ID: "b", Expected: "b" },
    RegistryConfig: { AllowNondistributableArtifactsCIDRs: null, Mirrors: null },
  });
  expect(infoFor(info, 47).KernelMemory).toBeUndefined();
  expect(info.RuncCommit.Expected).toBeUndefined();
});

test("images: the virtual size, and names that are none", () => {
  const image = { Size: 7, RepoTags: ["a:b"], RepoDigests: [] as string[] } as ImageSummary;
  expect(listEntryFor(image, 44)).toEqual(image);
  expect(listEntryFor(image, 43)).toEqual({ ...image, VirtualSize: 7 });
  expect(listEntryFor(image, 42)).toEqual({ ...image, VirtualSize: 7, RepoDigests: null as never });
  expect(listEntryFor({ ...image, RepoTags: [] }, 42).RepoTags).toEqual(["<none>:<none>"]);
});

test("containers: health is told from 1.52 on", () => {
  const summary = { Id: "x", Health: { Status: "healthy", FailingStreak: 0 } } as ContainerSummary;
  expect(summaryFor(summary, 52)).toEqual(summary);
  expect(summaryFor(summary, 51)).toEqual({ Id: "x" } as ContainerSummary);
});
