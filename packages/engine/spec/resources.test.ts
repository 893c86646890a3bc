import { expect, test } from "bun:test";
import { defaultEngineConfig } from "../config/engine-config.ts";
import { rlimits } from "./resources.ts";

test("ulimits: the container's over the daemon's, and none is -1", () => {
  const engine = { ...defaultEngineConfig(), defaultUlimits: { nofile: { Name: "nofile", Soft: 5, Hard: 9 } } };
  const host = { Ulimits: [{ Name: "memlock", Soft: -1, Hard: -1 }] };
  expect(rlimits(host, engine)).toEqual([
    { type: "RLIMIT_NOFILE", soft: 5, hard: 9 },
    { type: "RLIMIT_MEMLOCK", soft: -1, hard: -1 },
  ]);
});
