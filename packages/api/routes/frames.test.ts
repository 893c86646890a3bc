import { expect, test } from "bun:test";
import { frame, unframer } from "./frames.ts";

test("what was framed comes out again, however the stream is cut", () => {
  const stream = Buffer.concat([
    frame(1, Buffer.from("hello ")),
    frame(2, Buffer.alloc(0)),
    frame(2, Buffer.from("world")),
  ]);
  for (let size = 1; size <= stream.length; size++) {
    const take = unframer();
    let text = "";
    for (let at = 0; at < stream.length; at += size)
      text += Buffer.from(take(stream.subarray(at, at + size))).toString();
    expect(text).toBe("hello world");
  }
});
