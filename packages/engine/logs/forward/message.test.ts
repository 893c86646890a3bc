import { expect, test } from "bun:test";
import { type Begun, parseMessages } from "./message.ts";

const line = (log: string, stream = "stdout", time = "2026-11-21T11:11:12.451602Z") =>
  `{"log":"${log}","stream":"${stream}","time":"${time}"}\n`;

test("lines, their streams and times", () => {
  const messages = parseMessages(
    line("out\\n") + line("err\\n", "stderr", "2026-11-21T11:11:13Z") + line("\\n", "stdout", "1969-12-31T23:59:59.5Z"),
    {},
  );
  expect(messages).toEqual([
    {
      stderr: false,
      line: "out",
      time: "2026-11-21T11:11:12.451602Z",
      seconds: 1795259472,
      nanoseconds: 451602000,
      partial: null,
    },
    { stderr: true, line: "err", time: "2026-11-21T11:11:13Z", seconds: 1795259473, nanoseconds: 0, partial: null },
    { stderr: false, line: "", time: "1969-12-31T23:59:59.5Z", seconds: -1, nanoseconds: 500000000, partial: null },
  ]);
});

test("what was escaped is itself again, and a backslash before an n is no newline", () => {
  const texts = ['quote " back \\ tab \t é\u2028<&>', "\\n", "\\", "\r", 'x","stream":"stderr","time":"2026'];
  const escaped = texts.map((text) => line(JSON.stringify(`${text}\n`).slice(1, -1).replaceAll("<", "\\u003c")));
  expect(parseMessages(escaped.join(""), {}).map((message) => message.line)).toEqual(texts);
  expect(parseMessages(escaped.join(""), {}).every(({ partial }) => partial === null)).toBe(true);
  // Without a newline of its own.
  expect(parseMessages(line("a\\\\n"), {})).toMatchObject([{ line: "a\\n", partial: { ordinal: 1, last: false } }]);
});

test("parts of a line are tied together, across calls; a line of a later run is none of them", () => {
  const begun: Begun = {};
  const at = "2026-11-21T11:11:12.1Z";
  const [a, other] = parseMessages(line("aaa", "stdout", at) + line("whole\\n", "stderr", at), begun);
  const [b, c, d] = parseMessages(line("bbb", "stdout", at) + line("c\\n", "stdout", at) + line("d\\n"), begun);
  const id = a?.partial?.id as string;
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  expect([a, b, c].map((one) => one?.partial)).toEqual([
    { id, ordinal: 1, last: false },
    { id, ordinal: 2, last: false },
    { id, ordinal: 3, last: true },
  ]);
  expect([other?.partial, d?.partial]).toEqual([null, null]);
  expect(begun).toEqual({});
  parseMessages(line("cut off", "stdout", at), begun);
  expect(parseMessages(line("next run\\n"), begun)[0]?.partial).toBeNull();
});

test("attributes are passed over, and so is what is no line", () => {
  const text = '{"log":"x\\n","stream":"stdout","attrs":{"a":"}\\",\\"time"},"time":"2026-11-21T11:11:12Z"}\n';
  expect(parseMessages(text, {}).map((message) => message.line)).toEqual(["x"]);
  for (const junk of [
    "",
    "\n",
    "{}\n",
    '{"log":"x\\n"}\n',
    line("\\x"),
    line("a", "stdout", "2026-99-21T11:11:12.451602Z"),
  ])
    expect(parseMessages(`${junk}${line("good\\n")}`, {}).map((message) => message.line)).toEqual(["good"]);
});
