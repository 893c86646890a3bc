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
  const parsing: [string, string][] = [
    ["{", "unexpected end of JSON input"],
    ["{bad", "invalid character 'b' looking for beginning of object key string"],
    ['"linux/amd64"', "json: cannot unmarshal string into Go value of type v1.Platform"],
    ["7", "json: cannot unmarshal number into Go value of type v1.Platform"],
    ["true", "json: cannot unmarshal bool into Go value of type v1.Platform"],
    ["[]", "json: cannot unmarshal array into Go value of type v1.Platform"],
    ['{"os":1,"architecture":2}', "json: cannot unmarshal number into Go struct field Platform.os of type string"],
  ];
  for (const [bad, why] of parsing) expect(() => platformParameter(bad)).toThrow(`failed to parse platform: ${why}`);
  for (const bad of ["null", "{}", '{"os":"linux"}', '{"architecture":"arm64","variant":"v8"}']) {
    expect(() => platformParameter(bad)).toThrow(/^both OS and Architecture must be provided$/);
  }
  expect(() => platformParameter('{"variant":"v7"}')).toThrow(
    "optional platform fields provided, but OS and Architecture are missing",
  );
  const one = '{"os":"linux","architecture":"arm64"}';
  expect(() => platformParameter([one, one])).toThrow("multiple platform parameters not supported");
});
