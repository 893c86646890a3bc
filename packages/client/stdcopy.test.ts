import { describe, expect, test } from "bun:test";
import { demultiplex, frame, type StdStream } from "./stdcopy.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function collect(chunks: Uint8Array[]): [StdStream, string][] {
  const got: [StdStream, string][] = [];
  const feed = demultiplex((stream, part) => {
    const last = got.at(-1);
    const text = new TextDecoder().decode(part);
    if (last?.[0] === stream) last[1] += text;
    else got.push([stream, text]);
  });
  for (const chunk of chunks) feed(chunk);
  return got;
}

describe("Docker's frames", () => {
  const all = Buffer.concat([
    frame("stdout", bytes("one")),
    frame("stderr", bytes("two")),
    frame("stdout", bytes("")),
    frame("stdout", bytes("three")),
  ]);

  test("come apart whole", () => {
    expect(collect([all])).toEqual([
      ["stdout", "one"],
      ["stderr", "two"],
      ["stdout", "three"],
    ]);
  });
  test("come apart wherever they are cut", () => {
    for (let size = 1; size < all.length; size++) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < all.length; at += size) chunks.push(all.subarray(at, at + size));
      expect(collect(chunks)).toEqual([
        ["stdout", "one"],
        ["stderr", "two"],
        ["stdout", "three"],
      ]);
    }
  });
  test("of an unknown stream are refused", () => {
    expect(() => collect([new Uint8Array([9, 0, 0, 0, 0, 0, 0, 1, 65])])).toThrow("Unrecognized input header: 9");
  });
  test("with the engine's own error throw it", () => {
    const error = frame("stdout", bytes("broken"));
    error[0] = 3;
    expect(() => collect([error])).toThrow("error from daemon in stream: broken");
  });
  test("longer than 2 GiB keep their length", () => {
    let length = 0;
    const feed = demultiplex((_, part) => {
      length += part.length;
    });
    feed(new Uint8Array([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
    feed(new Uint8Array(1000));
    expect(length).toBe(1000);
  });
});
