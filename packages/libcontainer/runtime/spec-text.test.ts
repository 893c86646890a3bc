import { expect, test } from "bun:test";
import { specText } from "./spec-text.ts";

test("no limit is the largest number of all in a spec for others", () => {
  const process = { args: ["\u0000unlimited", "-1"], rlimits: [{ type: "RLIMIT_STACK", soft: 7, hard: -1 }] };
  expect(specText({ process })).toBe(
    '{"process":{"args":["\\u0000unlimited","-1"],"rlimits":[{"type":"RLIMIT_STACK","soft":7,"hard":18446744073709551615}]}}',
  );
});
