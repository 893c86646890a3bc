import { expect, test } from "bun:test";
import { Semaphore } from "./semaphore.ts";

test("who gave up waiting does not take the turn of those behind", async () => {
  const semaphore = new Semaphore(1);
  const forever = new AbortController().signal;
  let release = () => {};
  const first = semaphore.run(() => new Promise<void>((resolve) => (release = resolve)), forever);
  const gone = new AbortController();
  const second = semaphore.run(async () => "second", gone.signal);
  const third = semaphore.run(async () => "third", forever);
  gone.abort(new Error("gone"));
  release();
  await first;
  expect(second).rejects.toThrow("gone");
  expect(await Promise.race([third, Bun.sleep(500)])).toBe("third");
});
