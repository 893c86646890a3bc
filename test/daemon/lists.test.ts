import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

let engine: TestEngine;
const get = async (path: string) => {
  const { status, body } = await engine.api("GET", path);
  return status === 200 ? body : `${status} ${body.message}`;
};
const prune = async (kind: string, filters: object) => {
  const { status, body } = await engine.api(
    "POST",
    `/${kind}/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`,
  );
  return status === 200 ? body : `${status} ${body.message}`;
};

describe.skipIf(!canRunContainers)("lists and prunes", () => {
  beforeAll(async () => {
    engine = await startEngine();
    for (const name of ["one", "two"]) await engine.docker("create", "--name", name, "busybox", "true");
  });
  afterAll(() => engine?.close());

  test("images say how many containers have them from API 1.51 on", async () => {
    const counts = async (path: string) => (await get(path)).map((image: { Containers: number }) => image.Containers);
    expect(await counts("/v1.51/images/json")).toEqual([2]);
    expect(await counts("/v1.50/images/json")).toEqual([-1]);
    expect(await counts("/v1.50/images/json?shared-size=1")).toEqual([-1]);
    expect((await get("/v1.50/system/df")).Images[0].Containers).toBe(2);
  });

  test("there are no managed plugins", async () => {
    expect(await get("/v1.51/plugins")).toEqual([]);
  });

  test("a push with unreadable credentials is one without", async () => {
    const headers = { "X-Registry-Auth": "nonsense" };
    const options = { method: "POST", unix: engine.socket, headers } as RequestInit;
    const response = await fetch("http://engine/v1.51/images/nope/push?tag=1", options);
    expect(await response.text()).toContain("An image does not exist locally with the tag: nope");
  });

  test("a prune that finds nothing, and one that asks for nonsense", async () => {
    expect(await prune("containers", { label: ["none"] })).toEqual({ ContainersDeleted: null, SpaceReclaimed: 0 });
    expect(await prune("networks", { label: ["none"] })).toEqual({ NetworksDeleted: null });
    for (const kind of ["containers", "networks", "images"]) {
      expect(await prune(kind, { until: ["x"] })).toBe('400 failed to parse value as time or duration: "x"');
      expect(await prune(kind, { until: ["1h", "2h"] })).toBe("400 more than one until filter specified");
    }
  });

  test("filters that are none", async () => {
    const filtered = (kind: string, filters: string) => get(`/${kind}?filters=${encodeURIComponent(filters)}`);
    expect(await filtered("networks", '{"dangling":["x"]}')).toContain('must be "true" (or "1"), or "false"');
    expect(await filtered("networks", '{"dangling":["true","false"]}')).toContain("got more than one value");
    expect(await filtered("volumes", "{")).toBe("400 error reading volume filters: invalid filter");
    expect(await filtered("images/json", '{"label":{"a":1}}')).toBe("400 invalid filter");
    expect(await filtered("images/json", '{"label":{"a":false}}')).toEqual([]);
    expect(await filtered("images/json", '{"label":null}')).toHaveLength(1);
  });
});
