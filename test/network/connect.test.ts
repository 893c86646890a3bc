import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

let engine: TestEngine;

const docker = async (line: string) => {
  const { code, stderr, stdout } = await engine.docker(...line.split(" "));
  return code === 0 ? stdout.trim() : stderr.replace(/^Error response from daemon: /, "").trim();
};
const networksOf = async (container: string) =>
  Object.keys((await engine.api("GET", `/containers/${container}/json`)).body.NetworkSettings.Networks).sort();

describe.skipIf(!canRunContainers)("network connect and disconnect", () => {
  beforeAll(async () => {
    engine = await startEngine();
    await docker("network create --subnet 10.89.7.0/24 own");
  });
  afterAll(() => engine?.close());

  test("what a stopped container asks for is checked at once", async () => {
    await docker("create --name stopped busybox true");
    expect(await docker("network connect --ip 10.97.0.7 own stopped")).toBe(
      "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.97.0.7",
    );
    expect(await docker("network connect --ip bad own stopped")).toContain("* invalid IPv4 address: bad");
    expect(await networksOf("stopped")).toEqual(["bridge"]);
    expect(await docker("network connect --ip 10.89.7.77 own stopped")).toBe("");
    expect(await networksOf("stopped")).toEqual(["bridge", "own"]);
  });

  test("a container without a network leaves none before it joins another; one with the host's joins nothing", async () => {
    await docker("run -d --name loner --network none busybox sleep 1000");
    expect(await docker("network connect own loner")).toContain("in private (none) mode");
    expect(await docker("network disconnect none loner")).toBe("");
    expect(await docker("network connect own loner")).toBe("");
    expect(await docker("exec loner ip -o -4 addr show eth0")).toContain("10.89.7.");
    await docker("restart -t 0 loner");
    expect(await networksOf("loner")).toEqual(["own"]);
    await docker("run -d --name guest --network host busybox sleep 1000");
    expect(await docker("network connect own guest")).toBe(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
    expect(await docker("network connect host loner")).toContain("container must be created in host network mode");
  });

  test("who left all networks is in none of them, before and after a start", async () => {
    await docker("create --name alone busybox sleep 1000");
    expect(await docker("network disconnect bridge alone")).toBe("");
    expect(await networksOf("alone")).toEqual([]);
    expect(await docker("start alone")).toBe("alone");
    expect(await networksOf("alone")).toEqual([]);
    expect(await docker("exec alone ls /sys/class/net")).toBe("lo");
    expect(await docker("network connect own alone")).toBe("");
    expect(await docker("network disconnect own alone")).toBe("");
    expect(await networksOf("alone")).toEqual([]);
    await docker("restart -t 0 alone");
    expect(await networksOf("alone")).toEqual([]);
    expect(await docker("network connect own alone")).toBe("");
    expect(await networksOf("alone")).toEqual(["own"]);
  });

  test("while a running container leaves its only network it is in it, or in none", async () => {
    await docker("run -d --name leaver --network own busybox sleep 1000");
    for (let round = 0; round < 3; round++) {
      let left = false;
      const leaving = docker("network disconnect own leaver").finally(() => {
        left = true;
      });
      while (!left) {
        const { State, NetworkSettings } = (await engine.api("GET", "/containers/leaver/json")).body;
        expect(State.Running).toBe(true);
        const { own } = NetworkSettings.Networks;
        if (own !== undefined) expect(own.IPAddress).toStartWith("10.89.7.");
      }
      expect(await leaving).toBe("");
      expect(await docker("network connect own leaver")).toBe("");
    }
  });

  test("a stopped container leaves a network that is gone", async () => {
    await docker("network create gone");
    await docker("create --name left busybox true");
    await docker("network connect gone left");
    await docker("network rm gone");
    expect((await engine.docker("start", "left")).stderr).toContain("network gone not found");
    expect(await docker("network disconnect gone left")).toBe("");
    expect(await networksOf("left")).toEqual(["bridge"]);
    expect(await docker("start left")).toBe("left");
    expect(await docker("network disconnect gone left")).toContain("network gone");
    expect(await docker("network disconnect gone nobody")).toBe("No such container: nobody");
  });

  test("an interface is called as asked for, and a restart keeps the addresses", async () => {
    const option = "driver-opt=com.docker.network.endpoint.ifname=uplink";
    await docker(`run -d --name named --network name=own,${option} busybox sleep 1000`);
    const before = await docker("exec named ip -o -4 addr show uplink");
    expect(before).toContain("10.89.7.");
    await docker("run -d --name after --network own busybox sleep 1000");
    await docker("restart -t 0 named");
    expect(await docker("exec named ip -o -4 addr show uplink")).toBe(before);
  });
});
