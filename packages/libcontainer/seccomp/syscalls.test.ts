import { expect, test } from "bun:test";
import { NUMBERS } from "@gantry/sys";
import { syscallTable } from "./syscalls.ts";

// The tables here are compared with libseccomp's; what is called by number is right then on the architecture too that
// this does not run on.
test("what is called by number has its number on each architecture", () => {
  for (const [arch, numbers] of [
    ["X86_64", NUMBERS.x64],
    ["AARCH64", NUMBERS.arm64],
  ] as const) {
    const table = syscallTable(arch);
    const ours = Object.entries(numbers);
    expect(ours.length).toBeGreaterThan(15);
    expect(ours.map(([name]) => [arch, name, table.get(name)])).toEqual(ours.map(([name, nr]) => [arch, name, nr]));
  }
});
