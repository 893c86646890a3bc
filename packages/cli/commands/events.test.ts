import { expect, test } from "bun:test";
import { eventText } from "./events.ts";

const raw =
  '{"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"web","image":"busybox","note":"\\"timeNano\\":1"}},"scope":"local","time":1795224923,"timeNano":1795224923714074488}';

test("an event keeps every digit of its time, and its attributes are in order", () => {
  const text = eventText(raw, "");
  expect(text).toMatch(
    /:\d\d\.714074488(Z|[+-]\d\d:\d\d) container start abc \(image=busybox, name=web, note="timeNano":1\)$/,
  );
  expect(eventText(raw, "json")).toBe(raw);
  expect(eventText(raw, "{{.Action}} {{.Actor.Attributes.name}}")).toBe("start web");
  expect(eventText(raw, "{{.Scope}} {{.Time}} {{.TimeNano}}")).toBe("local 1795224923 1795224923714074488");
  expect(JSON.parse(eventText(raw, "{{json .}}"))).toEqual(JSON.parse(raw));
});
