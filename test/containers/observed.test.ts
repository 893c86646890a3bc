import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

/** What can be seen of containers from outside: events, health, inspect after the end, answers to odd requests. */
describe.skipIf(!canRunContainers)("containers as seen from outside", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const docker = (...args: string[]) => engine.docker(...args);
  const inspect = async (name: string) => (await engine.api("GET", `/containers/${name}/json`)).body;
  /** The events while something happens: "type action". */
  async function during(
    work: () => Promise<unknown>,
  ): Promise<{ Type: string; Action: string; Actor: { ID: string; Attributes: Record<string, string> } }[]> {
    const since = (Date.now() / 1000 - 0.001).toFixed(3);
    await work();
    await Bun.sleep(50);
    const { text } = await engine.api("GET", `/events?since=${since}&until=${(Date.now() / 1000).toFixed(3)}`);
    return text
      .split("\n")
      .filter((line: string) => line.trim() !== "")
      .map((line: string) => JSON.parse(line));
  }

  test("volumes are told to be mounted and unmounted", async () => {
    const events = await during(() => docker("run", "--name", "mounts", "-v", "seen:/v:ro", "busybox", "true"));
    const names = events.filter(({ Type }) => Type !== "network").map(({ Type, Action }) => `${Type} ${Action}`);
    expect(names).toEqual([
      "volume create",
      "container create",
      "container attach",
      "volume mount",
      "container start",
      "volume unmount",
      "container die",
    ]);
    const { Id } = await inspect("mounts");
    const [mount, unmount] = events.filter(({ Action }) => Action.endsWith("mount"));
    expect(mount?.Actor).toEqual({
      ID: "seen",
      Attributes: { container: Id, destination: "/v", driver: "local", propagation: "", "read/write": "false" },
    });
    expect(unmount?.Actor).toEqual({ ID: "seen", Attributes: { container: Id, driver: "local" } });
    await docker("rm", "mounts");
  });

  test("a forced removal kills; an exec is named with its arguments", async () => {
    await docker("run", "-d", "--name", "forced", "busybox", "sleep", "60");
    const events = await during(async () => {
      await docker("exec", "forced", "true");
      await docker("exec", "forced", "ls", "-d", "/");
      await docker("rm", "-f", "forced");
    });
    const actions = events.filter(({ Type }) => Type === "container").map(({ Action }) => Action);
    expect(actions).toEqual([
      "exec_create: true ",
      "exec_start: true ",
      "exec_die",
      "exec_create: ls -d /",
      "exec_start: ls -d /",
      "exec_die",
      "kill",
      "die",
      "destroy",
    ]);
  });

  test("health: what was found stays over a restart, and a stopped container is not healthy", async () => {
    const options = ["--health-cmd", "true", "--health-interval", "200ms"];
    await docker("run", "-d", "--name", "sick", ...options, "busybox", "sleep", "60");
    await eventually(async () => (await inspect("sick")).State.Health.Status === "healthy");
    await docker("stop", "-t", "0", "sick");
    const stopped = (await inspect("sick")).State.Health;
    expect(stopped.Status).toBe("unhealthy");
    await docker("start", "sick");
    const { Health } = (await inspect("sick")).State;
    expect(Health).toMatchObject({ Status: "starting", FailingStreak: 0 });
    expect(Health.Log.slice(0, stopped.Log.length)).toEqual(stopped.Log);
    await docker("rm", "-f", "sick");
  });

  test("a stopped container still says which networks it was in", async () => {
    await docker("network", "create", "seen-net");
    await docker("run", "--name", "ended", "--net", "seen-net", "busybox", "true");
    const network = (await engine.api("GET", "/networks/seen-net")).body.Id;
    expect((await inspect("ended")).NetworkSettings.Networks["seen-net"].NetworkID).toBe(network);
    await engine.crash();
    await engine.restart();
    expect((await inspect("ended")).NetworkSettings.Networks["seen-net"].NetworkID).toBe(network);
    await docker("rm", "ended");
    await docker("network", "rm", "seen-net");
  });

  test("updates that are refused say of which container, and what is wrong", async () => {
    const id = (await docker("create", "--cpus", "1", "-m", "20m", "busybox")).stdout.trim();
    const update = async (body: object) => (await engine.api("POST", `/containers/${id}/update`, body)).body.message;
    const prefix = `Cannot update container ${id}: `;
    expect(await update({ CpuQuota: 50000 })).toBe(
      `${prefix}Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set`,
    );
    expect(await update({ CpuPeriod: 50000 })).toContain("CPU Period cannot be updated");
    expect(await update({ CpuPeriod: 1 })).toStartWith("CPU cfs period can not be less than 1ms");
    expect(await update({ Memory: 100e6 })).toStartWith(`${prefix}Memory limit should be smaller than already set`);
    await engine.api("POST", `/containers/${id}/update`, { PidsLimit: 7 });
    await engine.api("POST", `/containers/${id}/update`, { PidsLimit: -1 });
    expect((await inspect(id)).HostConfig.PidsLimit).toBe(0);
    await docker("rm", id);
  });

  test("odd requests have Docker's answers", async () => {
    const id = (await docker("create", "--name", "odd", "busybox", "sleep", "60")).stdout.trim();
    const cases: [string, string, unknown, number, string][] = [
      [
        "POST",
        "/v1.24/containers/odd/start",
        { HostConfig: {} },
        400,
        "starting container with non-empty request body",
      ],
      ["POST", "/containers/odd/resize", undefined, 400, 'invalid resize height "": invalid syntax'],
      ["POST", "/containers/odd/resize?h=1&w=x", undefined, 400, 'invalid resize width "x": invalid syntax'],
      ["POST", "/containers/odd/resize?h=1&w=1", undefined, 409, `container ${id} is not running`],
      [
        "POST",
        "/containers/odd/stop?signal=BOGUS",
        undefined,
        400,
        "cannot stop container: odd: invalid signal: BOGUS",
      ],
      ["POST", "/containers/odd/restart?signal=BOGUS", undefined, 400, "Cannot restart container odd: invalid signal"],
      ["POST", "/containers/nobody/exec", {}, 400, "No exec command specified"],
      ["POST", "/containers/odd/kill?signal=99", undefined, 400, "odd: the linux daemon does not support signal 99"],
      [
        "POST",
        `/containers/prune?filters=${encodeURIComponent('{"until":["bogus"]}')}`,
        undefined,
        400,
        'failed to parse value as time or duration: "bogus"',
      ],
      [
        "GET",
        `/containers/json?filters=${encodeURIComponent('{"expose":["x"]}')}`,
        undefined,
        400,
        "looking up for expose x",
      ],
      ["GET", "/events?since=20&until=10.5", undefined, 400, "`since` time (20) cannot be after `until` time (10.5)"],
    ];
    for (const [method, path, body, status, words] of cases) {
      const answer = await engine.api(method, path, body);
      expect([path, answer.status, answer.body.message]).toEqual([path, status, expect.stringContaining(words)]);
    }
    // Nobody to attach to, nothing to wait for.
    expect((await engine.api("POST", "/containers/odd/attach?stream=1")).status).toBe(200);
    await docker("rm", "odd");
  });

  test("volumes: an empty request is one, one that is there is given back, quotas are refused", async () => {
    const made = await engine.api("POST", "/volumes/create");
    expect(made).toMatchObject({ status: 201, body: { Driver: "local" } });
    await docker("volume", "create", "there");
    expect(await docker("volume", "create", "there", "--opt", "type=tmpfs")).toMatchObject({
      code: 0,
      stdout: "there\n",
    });
    const sized = await docker("volume", "create", "sized", "--opt", "size=1m");
    expect(sized.stderr).toContain("create sized: quota size requested but no quota support");
    await docker("volume", "create", "gone", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/no/such");
    const failed = await docker("run", "--rm", "-v", "gone:/v", "busybox", "true");
    expect(failed.stderr).toMatch(/mount \/no\/such:\S+, flags: 0x1000: no such file or directory\n/);
    await docker("volume", "rm", "there", "gone", made.body.Name);
  });
});
