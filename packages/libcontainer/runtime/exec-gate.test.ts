import { expect, test } from "bun:test";
import { ExecGate } from "./exec-gate.ts";

test("a pause waits for execs that are being made; others wait for its end", async () => {
  const gate = new ExecGate();
  const steps: string[] = [];
  const first = Promise.withResolvers<string>();
  const making = gate.pass(() => first.promise);
  const failing = gate.pass(() => Promise.reject(new Error("not made")));
  const closed = gate.close().then(() => steps.push("closed"));
  const next = gate.pass(async () => {
    steps.push("next");
    return "second";
  });
  await expect(failing).rejects.toThrow("not made");
  expect(steps).toEqual([]);
  first.resolve("first");
  await closed;
  expect(await making).toBe("first");
  await Bun.sleep(1);
  expect(steps).toEqual(["closed"]);
  gate.open();
  expect(await next).toBe("second");
  await gate.close();
  gate.open();
  expect(await gate.pass(async () => "third")).toBe("third");
});
