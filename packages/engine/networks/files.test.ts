import { expect, test } from "bun:test";
import { withLines } from "./files.ts";

const BEFORE = "127.0.0.1\tlocalhost\n10.0.0.2\tbox\n";
const AFTER = "127.0.0.1\tlocalhost\n10.0.0.2\tbox\n10.1.0.2\tbox\n";

test("a hosts file gets and loses the lines that a network brings, and keeps a user's own", () => {
  const edited = `${BEFORE}192.0.2.1\tmine`;
  const joined = withLines(edited, BEFORE, AFTER);
  expect(joined).toBe(`${BEFORE}192.0.2.1\tmine\n10.1.0.2\tbox\n`);
  expect(withLines(joined, AFTER, BEFORE)).toBe(`${BEFORE}192.0.2.1\tmine\n`);
});

test("a line is not added twice, and an emptied file gets what is new", () => {
  expect(withLines(AFTER, BEFORE, AFTER)).toBe(AFTER);
  expect(withLines("", BEFORE, AFTER)).toBe("10.1.0.2\tbox\n");
});
