import { expect, test } from "bun:test";
import { DetachWatcher, parseDetachKeys } from "./attach.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

test("keys in Docker's words", () => {
  expect(parseDetachKeys("")).toEqual([16, 17]);
  expect(parseDetachKeys("ctrl-a,x,ctrl-\\,DEL")).toEqual([1, 120, 28, 127]);
  expect(() => parseDetachKeys("ctrl-")).toThrow("Invalid detach keys");
});

test("the keys detach even when they come one by one; what only looks like them passes", () => {
  const watcher = new DetachWatcher([16, 17]);
  expect(text(watcher.feed(bytes("plain")).pass)).toBe("plain");
  expect(watcher.feed(bytes("a\x10"))).toEqual({ pass: bytes("a"), detach: false });
  expect(text(watcher.feed(bytes("b")).pass)).toBe("\x10b");
  expect(text(watcher.feed(bytes("\x10\x10")).pass)).toBe("\x10");
  expect(watcher.feed(bytes("\x11rest"))).toEqual({ pass: bytes(""), detach: true });
});
