import { expect, test } from "bun:test";
import { ConnectionSweeper } from "./connections.ts";

test("who gets an address whose connections are still to be forgotten waits, also while other ones are being forgotten", async () => {
  const done: string[] = [];
  const first = Promise.withResolvers<void>();
  const sweeper = new ConnectionSweeper(
    () => {},
    async (match) => {
      if (match.to === "10.0.0.2") await first.promise;
      done.push(match.to);
    },
  );
  sweeper.later([{ to: "10.0.0.2", family: 4 }]);
  const running = sweeper.now();
  sweeper.later([{ to: "10.0.0.3", family: 4 }]);
  const waiting = sweeper.now();
  await sweeper.settle(["10.0.0.4"]);
  expect(done).toEqual([]);
  const settled = sweeper.settle(["10.0.0.3"]).then(() => [...done]);
  first.resolve();
  expect(await settled).toEqual(["10.0.0.2", "10.0.0.3"]);
  await Promise.all([running, waiting]);
});
