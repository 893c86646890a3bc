import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { hostAppArmor } from "@gantry/libcontainer";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

const here = hostAppArmor() !== null;

describe.skipIf(!canRunContainers)("AppArmor", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const profileOf = async (name: string) => (await engine.api("GET", `/containers/${name}/json`)).body.AppArmorProfile;

  test("info tells whether containers are confined by it", async () => {
    const { SecurityOptions } = (await engine.api("GET", "/info")).body;
    expect(SecurityOptions.includes("name=apparmor")).toBe(here);
  });

  test("inspect shows what was asked for, then what is in force", async () => {
    await engine.docker("create", "--name", "asked", "--security-opt", "apparmor=unconfined", "busybox", "true");
    await engine.docker("create", "--name", "plain", "busybox", "true");
    await engine.docker("create", "--name", "privileged", "--privileged", "busybox", "true");
    expect(await Promise.all(["asked", "plain", "privileged"].map(profileOf))).toEqual(["unconfined", "", ""]);
    await engine.docker("start", "asked", "plain", "privileged");
    const shown = await Promise.all(["asked", "plain", "privileged"].map(profileOf));
    expect(shown).toEqual(here ? ["unconfined", "docker-default", "unconfined"] : ["", "", ""]);
    await engine.docker("rm", "-f", "asked", "plain", "privileged");
  });

  test.skipIf(!here)("a container and its execs are under the default profile, which forbids mounts", async () => {
    await engine.docker("run", "-d", "--name", "confined", "--cap-add", "SYS_ADMIN", "busybox", "sleep", "1000");
    const under = await engine.docker("exec", "confined", "cat", "/proc/1/attr/current", "/proc/self/attr/current");
    expect(under.stdout).toBe("docker-default (enforce)\ndocker-default (enforce)\n");
    const mount = await engine.docker("exec", "confined", "mount", "-t", "tmpfs", "none", "/tmp");
    expect(mount.stderr).toContain("Permission denied");
    await engine.docker("rm", "-f", "confined");
  });

  test.skipIf(!here)("a profile the kernel does not have fails the start", async () => {
    const { code, stderr } = await engine.docker(
      "run",
      "--rm",
      "--security-opt",
      "apparmor=no-such",
      "busybox",
      "true",
    );
    expect(stderr).toContain("unable to apply apparmor profile");
    expect(code).toBe(127);
  });
});
