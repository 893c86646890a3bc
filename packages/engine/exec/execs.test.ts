import { expect, test } from "bun:test";
import type { Container } from "../containers/container.ts";
import { type Exec, Execs } from "./execs.ts";

const container = () => ({ execIds: new Set<string>() }) as unknown as Container;
const exec = (id: string, of: Container) =>
  ({ id, container: of, running: false, exitCode: null, task: {}, prepared: null }) as unknown as Exec;

/** Processor time since then: how busy the machine is does not count. */
const milliseconds = (since: NodeJS.CpuUsage) => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

test("ten thousand that have ended cost the next one nothing, and keep only their exit code", () => {
  const execs = new Execs();
  const [one, other] = [container(), container()];
  const add = (count: number, prefix: string, of: Container) => {
    const began = process.cpuUsage();
    for (let i = 0; i < count; i++) {
      const made = exec(`${prefix}${i}`, of);
      execs.add(made);
      execs.ended(made, 3);
    }
    return milliseconds(began);
  };
  const first = add(1000, "a", one);
  add(30_000, "b", one);
  const last = add(1000, "c", one);
  expect(last).toBeLessThan(first * 10 + 200);
  expect(execs.get("b29999").exitCode).toBe(3);
  expect(execs.get("b29999").task).toBeNull();
  expect(one.execIds.size).toBe(0);

  // Another container's removal does not pass over them.
  const began = process.cpuUsage();
  for (let i = 0; i < 300; i++) {
    execs.add(exec(`d${i}`, other));
    execs.forget(other);
  }
  expect(milliseconds(began)).toBeLessThan(first * 10 + 200);
  expect(execs.size).toBe(32_000);
  execs.forget(one);
  expect(execs.size).toBe(0);
});
