import { expect, test } from "bun:test";
import { platformParameter } from "./platforms.ts";

test("a platform parameter is the JSON of an OCI platform, one of them", () => {
  expect(platformParameter(undefined)).toBeUndefined();
  expect(platformParameter([])).toBeUndefined();
  expect(platformParameter("")).toBeUndefined();
  expect(platformParameter('{"os":"linux","architecture":"arm64"}')).toBe("linux/arm64");
  expect(platformParameter(['{"os":"linux","architecture":"arm","variant":"v7"}'])).toBe("linux/arm/v7");
});

test("anything else is refused in Docker's words", () => {
  expect(() => platformParameter("xx")).toThrow(
    "failed to parse platform: invalid character 'x' looking for beginning of value",
  );
  for (const bad of ["{", '"linux/amd64"', "7", "null", "[]", "{}", '{"os":"linux"}', '{"os":1,"architecture":2}']) {
    expect(() => platformParameter(bad)).toThrow("failed to parse platform: ");
  }
  const one = '{"os":"linux","architecture":"arm64"}';
  expect(() => platformParameter([one, one])).toThrow("multiple platform parameters not supported");
});
