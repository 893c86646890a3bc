import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

const BLKIO = "/sys/fs/cgroup/blkio";

/** What Docker 29 changed in its API, from version 1.52 on, and that older versions are as they were. */
describe.skipIf(!canRunContainers)("API 1.52 and later", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const get = async (path: string) => (await engine.api("GET", path)).body;
  const text = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://engine${path}`, { unix: engine.socket, headers } as RequestInit);
    return { type: response.headers.get("content-type"), text: await response.text() };
  };

  test("a network tells how full its subnets are, to the last digit", async () => {
    const net = `192.168.${engine.net.split(".")[1]}`;
    const ipam = {
      Config: [{ Subnet: `${net}.0/24`, IPRange: `${net}.128/25` }, { Subnet: "fd00:6761:6e74::/64" }],
    };
    const { body } = await engine.api("POST", "/networks/create", { Name: "full", EnableIPv6: true, IPAM: ipam });
    const status = async () => JSON.parse((await text(`/v1.52/networks/${body.Id}`)).text).Status.IPAM.Subnets;
    // Its own address, the broadcast address, and the gateway.
    expect((await status())[`${net}.0/24`]).toEqual({ IPsInUse: 3, DynamicIPsAvailable: 126 });
    const run = ["run", "-d", "--name", "guest", "--network", "full", "busybox", "sleep", "600"];
    expect((await engine.docker(...run)).code).toBe(0);
    expect((await status())[`${net}.0/24`]).toEqual({ IPsInUse: 4, DynamicIPsAvailable: 125 });
    const whole = (await text(`/v1.52/networks/${body.Id}`)).text;
    expect(whole).toContain('"fd00:6761:6e74::/64":{"IPsInUse":3,"DynamicIPsAvailable":18446744073709551613}');
    expect(await get("/v1.51/networks/full")).not.toContainKey("Status");
    expect((await get("/v1.52/networks/host")).Status).toEqual({ IPAM: {} });
    await engine.docker("rm", "-f", "guest");
    await engine.docker("network", "rm", "full");
  });

  test("inspect leaves out what is empty", async () => {
    const [old, now] = await Promise.all([get("/v1.51/images/busybox/json"), get("/v1.52/images/busybox/json")]);
    for (const name of ["Parent", "DockerVersion", "Author"]) {
      expect(old).toContainKey(name);
      expect(now).not.toContainKey(name);
    }
    const create = { Image: "busybox", Cmd: ["true"], MacAddress: "02:42:ac:11:22:33" };
    const before = (await engine.api("POST", "/v1.51/containers/create?name=before", create)).body;
    const after = (await engine.api("POST", "/v1.52/containers/create?name=after", create)).body;
    expect([before.Warnings.length, after.Warnings.length]).toEqual([1, 0]);
    expect((await get("/v1.51/containers/before/json")).Config).toMatchObject({
      MacAddress: create.MacAddress,
      OnBuild: null,
    });
    expect(Object.keys((await get("/v1.52/containers/before/json")).Config)).not.toContainAnyValues([
      "MacAddress",
      "OnBuild",
    ]);
    // The field is gone, and with it what it asked for.
    expect((await get("/v1.51/containers/after/json")).Config).not.toContainKey("MacAddress");
    await engine.docker("rm", "before", "after");
  });

  test("an empty list of bindings is one of any port still, and the client is told to say so", async () => {
    const create = { Image: "busybox", HostConfig: { PortBindings: { "80/tcp": [], "90": [], "70/udp": [{}] } } };
    const { body } = await engine.api("POST", "/v1.52/containers/create", create);
    expect(body.Warnings).toEqual([
      "Following container port(s) have an empty list of port-bindings: 80/tcp, 90/tcp. Such bindings will be discarded in a future version.",
    ]);
    const { HostConfig } = await get(`/containers/${body.Id}/json`);
    expect(HostConfig.PortBindings["80/tcp"]).toEqual([{ HostIp: "", HostPort: "" }]);
    expect((await engine.api("POST", "/v1.51/containers/create?name=quiet", create)).body.Warnings).toEqual([]);
    await engine.docker("rm", body.Id, "quiet");
  });

  test("events are JSON lines, or a sequence where that is asked for", async () => {
    await engine.docker("volume", "create", "told");
    const path = `events?since=1&until=${(Date.now() / 1000).toFixed(3)}`;
    expect((await text(`/v1.51/${path}`)).type).toBe("application/json");
    const lines = await text(`/v1.52/${path}`, { Accept: "*/*" });
    expect(lines.type).toBe("application/jsonl");
    expect(lines.text.startsWith("{")).toBe(true);
    const sequence = await text(`/v1.52/${path}`, {
      Accept: "application/jsonl;q=0.5, application/json-seq, text/plain",
    });
    expect(sequence.type).toBe("application/json-seq");
    expect(sequence.text).toMatch(/^(\x1e\{.*\}\r\n)+$/);
    expect((await text(`/v1.52/${path}`, { Accept: "application/jsonl;q=0, application/x-ndjson;q=0.1" })).type).toBe(
      "application/x-ndjson",
    );
    await engine.docker("volume", "rm", "told");
  });

  test("disk usage: sums, and lists for those who know only them", async () => {
    const [old, now, verbose] = await Promise.all(
      ["/v1.51/system/df", "/v1.52/system/df", "/v1.52/system/df?verbose=1"].map(get),
    );
    expect(old).not.toContainKey("ImageUsage");
    expect(now.Images).toHaveLength(1);
    const { TotalSize } = now.ImageUsage;
    expect(now.ImageUsage).toEqual({ ActiveCount: 0, TotalCount: 1, TotalSize, Reclaimable: TotalSize });
    expect(Object.keys(verbose).sort()).toEqual(["BuildCacheUsage", "ContainerUsage", "ImageUsage", "VolumeUsage"]);
    expect(verbose.ImageUsage.Items[0].RepoTags).toContain("busybox:latest");
  });

  test.skipIf(!existsSync(BLKIO) || !existsSync("/dev/loop0"))(
    "limits by device are changed and lifted from 1.55 on",
    async () => {
      const create = { Image: "busybox", Cmd: ["sleep", "600"], HostConfig: { NetworkMode: "none" } };
      const { body } = await engine.api("POST", "/containers/create?name=slow", create);
      await engine.api("POST", "/containers/slow/start");
      const { State } = await get("/containers/slow/json");
      const own = /blkio:(.*)/.exec(readFileSync(`/proc/${State.Pid}/cgroup`, "utf8"))?.[1];
      const limits = (what: string) => readFileSync(`${BLKIO}${own}/blkio.throttle.${what}_device`, "utf8").trim();
      // A whole disk, as the kernel throttles no other devices.
      const disk = "/dev/loop0";
      const list = (Rate: number) => [{ Path: disk, Rate }];
      const update = async (api: string, change: object) =>
        (await engine.api("POST", `/v${api}/containers/slow/update`, change)).status;
      expect(await update("1.54", { BlkioDeviceReadBps: list(1 << 20) })).toBe(200);
      expect(limits("read_bps")).toBe("");
      expect(await update("1.55", { BlkioDeviceReadBps: list(1 << 20), BlkioDeviceWriteIOps: list(50) })).toBe(200);
      expect([limits("read_bps"), limits("write_iops")]).toEqual(["7:0 1048576", "7:0 50"]);
      // What is not mentioned stays; an empty list ends it.
      expect(await update("1.55", { BlkioDeviceReadBps: [], CpuShares: 100 })).toBe(200);
      expect([limits("read_bps"), limits("write_iops")]).toEqual(["", "7:0 50"]);
      expect((await get("/containers/slow/json")).HostConfig).toMatchObject({
        BlkioDeviceReadBps: [],
        BlkioDeviceWriteIOps: [{ Path: disk, Rate: 50 }],
      });
      expect(await update("1.55", { BlkioDeviceReadBps: [{ Path: "/dev/none", Rate: 1 }] })).toBe(400);
      await engine.docker("rm", "-f", body.Id);
    },
  );
});
