import { expect, test } from "bun:test";
import { shownAppArmor } from "./apparmor.ts";
import type { ContainerRecord, ContainerStateRecord } from "./record.ts";

const shown = (SecurityOpt: string[], state: Partial<ContainerStateRecord>) =>
  shownAppArmor({ hostConfig: { SecurityOpt } } as ContainerRecord, state as ContainerStateRecord);

test("the profile shown is the one asked for, and from the start on the one that the start found", () => {
  expect(shown(["apparmor=mine"], { startedBefore: false })).toBe("mine");
  expect(shown(["apparmor=mine"], { startedBefore: true, appArmorProfile: "mine" })).toBe("mine");
  expect(shown([], { startedBefore: true, appArmorProfile: "docker-default" })).toBe("docker-default");
  // It could not be loaded, as on a host without apparmor_parser.
  expect(shown([], { startedBefore: true, appArmorProfile: "" })).toBe("");
});
