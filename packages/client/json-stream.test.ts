import { expect, test } from "bun:test";
import { jsonStream } from "./json-stream.ts";

async function read(text: string, size: number): Promise<unknown[]> {
  const bytes = new TextEncoder().encode(text);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const got: unknown[] = [];
  for await (const document of jsonStream(chunks())) got.push(document);
  return got;
}

test("lines, empty lines, documents without a line between them, cut anywhere", async () => {
  const text = '{"a":"ü{\\"}"}\r\n\r\n{"b":[1,{"c":2}]}{"d":3}\n{"e":4}';
  const wanted = [{ a: 'ü{"}' }, { b: [1, { c: 2 }] }, { d: 3 }, { e: 4 }];
  for (const size of [1, 2, 3, 7, 1000]) expect(await read(text, size)).toEqual(wanted);
});

test("a malformed document is an error", async () => {
  expect(read('{"a":1}\n{"b":\n', 100)).rejects.toThrow();
  expect(read('{"a":1', 100)).rejects.toThrow();
});
