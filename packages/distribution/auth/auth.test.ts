import { expect, test } from "bun:test";
import { parseChallenges } from "./challenge.ts";
import { basicAuthorization, decodeRegistryAuth, decodeRegistryConfig } from "./credentials.ts";

test("challenges as registries send them", () => {
  expect(
    parseChallenges('Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push"'),
  ).toEqual([
    {
      scheme: "bearer",
      parameters: { realm: "https://auth.example/token", service: "reg", scope: "repository:a/b:pull,push" },
    },
  ]);
  expect(parseChallenges('Basic realm="x, \\"y\\"", Bearer realm=z , error=invalid_token')).toEqual([
    { scheme: "basic", parameters: { realm: 'x, "y"' } },
    { scheme: "bearer", parameters: { realm: "z", error: "invalid_token" } },
  ]);
  expect(parseChallenges("Negotiate, NTLM")).toEqual([
    { scheme: "negotiate", parameters: {} },
    { scheme: "ntlm", parameters: {} },
  ]);
});

test("rubbish gives nothing, and ends", () => {
  for (const text of [
    null,
    "",
    "=",
    ',,,"',
    'Bearer realm="',
    'a="b"',
    "\u0000",
    `Bearer ${'a="b",'.repeat(20_000)}`,
  ]) {
    expect(parseChallenges(text).length).toBeLessThan(5);
  }
});

test("X-Registry-Auth in both alphabets, with and without padding", () => {
  const config = { username: "ann?>", password: "ÿ~", serveraddress: "x" };
  const json = JSON.stringify(config);
  for (const encoding of ["base64", "base64url"] as const) {
    const text = Buffer.from(json).toString(encoding);
    expect(decodeRegistryAuth(text)).toMatchObject({ username: "ann?>", password: "ÿ~", serverAddress: "x" });
    expect(decodeRegistryAuth(text.replace(/=+$/, ""))).toMatchObject({ username: "ann?>" });
  }
  expect(decodeRegistryAuth("")).toBeUndefined();
  expect(decodeRegistryAuth(Buffer.from("{}").toString("base64"))).toBeUndefined();
  expect(decodeRegistryAuth(Buffer.from('{"auth":"YTpi"}').toString("base64"))).toMatchObject({
    username: "a",
    password: "b",
  });
  for (const bad of [
    "%%%",
    Buffer.from("[1]").toString("base64"),
    Buffer.from("x").toString("base64"),
    "A".repeat(100_000),
  ]) {
    expect(() => decodeRegistryAuth(bad)).toThrow("invalid X-Registry-Auth header");
  }
});

test("X-Registry-Config", () => {
  const text = Buffer.from('{"a":{"username":"u","password":"p"},"b":null,"c":{}}').toString("base64url");
  expect(Object.keys(decodeRegistryConfig(text))).toEqual(["a"]);
  expect(basicAuthorization({ username: "u", password: "p:ä" })).toBe(
    `Basic ${Buffer.from("u:p:ä").toString("base64")}`,
  );
});
