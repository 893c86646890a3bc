import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("life of containers", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const inspect = async (name: string) => (await engine.api("GET", `/containers/${name}/json`)).body;
  const until = async (what: () => Promise<boolean>, pauseMs = 50) => {
    const deadline = Date.now() + 40_000;
    while (!(await what())) {
      if (Date.now() > deadline) throw new Error("it did not come true in time");
      await Bun.sleep(pauseMs);
    }
  };

  test("restart policies: on-failure counts, always goes on, a stop by hand ends it", async () => {
    await engine.docker("run", "-d", "--name", "thrice", "--restart", "on-failure:3", "busybox", "false");
    await until(async () => (await inspect("thrice")).State.Status === "exited");
    expect(await inspect("thrice")).toMatchObject({ RestartCount: 3, State: { ExitCode: 1 } });

    await engine.docker("run", "-d", "--name", "forever", "--restart", "always", "busybox", "sleep", "0.1");
    await until(async () => (await inspect("forever")).RestartCount >= 2);
    expect((await engine.docker("stop", "forever")).code).toBe(0);
    await Bun.sleep(600);
    expect((await inspect("forever")).State.Running).toBe(false);
    expect((await engine.docker("update", "--restart", "no", "forever")).code).toBe(0);
    await engine.docker("rm", "-f", "thrice", "forever");
  });

  test("a container that is being restarted has not ended, and a stop meets it at any moment", async () => {
    await engine.docker("run", "-d", "--name", "again", "--restart", "on-failure:3", "busybox", "false");
    const seen = new Set<string>();
    await until(async () => {
      const { Status, Running } = (await inspect("again")).State;
      seen.add(Status);
      expect(Running).toBe(Status !== "exited");
      return Status === "exited";
    }, 1);
    expect(seen).toContain("restarting");
    expect(await inspect("again")).toMatchObject({ RestartCount: 3, State: { ExitCode: 1, Running: false } });
    await engine.docker("rm", "again");

    for (let round = 0; round < 12; round++) {
      const { body } = await engine.api("POST", "/containers/create", {
        Image: "busybox",
        Cmd: ["true"],
        HostConfig: { RestartPolicy: { Name: "always" } },
      });
      await engine.api("POST", `/containers/${body.Id}/start`);
      // The first restart is due 100 ms after the end: the stops fall before, into, and after it.
      await Bun.sleep(80 + round * 6);
      expect((await engine.api("POST", `/containers/${body.Id}/stop?t=0`)).status).toBe(204);
      await Bun.sleep(250);
      expect((await inspect(body.Id)).State).toMatchObject({ Status: "exited", Running: false, Restarting: false });
      await engine.api("DELETE", `/containers/${body.Id}`);
    }
  });

  test("wait answers its head at once, and all three conditions", async () => {
    const { body } = await engine.api("POST", "/containers/create?name=waited", {
      Image: "busybox",
      Cmd: ["sh", "-c", "sleep 0.3; exit 4"],
      HostConfig: { AutoRemove: true },
    });
    expect((await engine.api("POST", `/containers/${body.Id}/wait`)).body).toEqual({ StatusCode: 0 });
    const response = await fetch(`http://d/containers/${body.Id}/wait?condition=removed`, {
      method: "POST",
      unix: engine.socket,
    } as RequestInit);
    expect(response.status).toBe(200);
    const next = engine.api("POST", `/containers/${body.Id}/wait?condition=next-exit`);
    await Bun.sleep(500);
    await engine.api("POST", `/containers/${body.Id}/start`);
    expect((await next).body).toEqual({ StatusCode: 4 });
    expect(await response.json()).toEqual({ StatusCode: 4 });
    expect((await engine.api("GET", "/containers/waited/json")).status).toBe(404);
    expect(
      (await engine.api("POST", "/containers/create?name=waited", { Image: "busybox", Cmd: ["true"] })).status,
    ).toBe(201);
    expect((await engine.api("POST", "/containers/waited/wait?condition=sometime")).status).toBe(400);
    await engine.docker("rm", "waited");
  });

  test("events come in order, with filters", async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await engine.docker("run", "--name", "told", "--label", "a=b", "busybox", "true");
    await engine.docker("rm", "told");
    await Bun.sleep(50);
    const until = ((Date.now() + 10) / 1000).toFixed(3);
    const actions = async (...filters: string[]) =>
      (
        await engine.docker(
          "events",
          "--since",
          since,
          "--until",
          until,
          "--format",
          "{{.Action}}",
          ...filters.flatMap((filter) => ["--filter", filter]),
        )
      ).stdout
        .trim()
        .split("\n");
    expect(await actions("container=told", "type=container")).toEqual(["create", "attach", "start", "die", "destroy"]);
    expect(await actions("label=a=b", "event=die")).toEqual(["die"]);
    expect(await actions("container=nobody")).toEqual([""]);
  });

  test("health checks go from starting to healthy to unhealthy", async () => {
    await engine.docker(
      "run",
      "-d",
      "--name",
      "sick",
      "--health-cmd",
      "test -e /well",
      "--health-interval",
      "150ms",
      "--health-retries",
      "2",
      "busybox",
      "sh",
      "-c",
      "touch /well; sleep 1000",
    );
    await until(async () => (await inspect("sick")).State.Health.Status === "healthy");
    expect(
      (await engine.docker("ps", "--filter", "health=healthy", "--format", "{{.Names}} {{.Status}}")).stdout,
    ).toMatch(/^sick Up .* \(healthy\)\n$/);
    await engine.docker("exec", "sick", "rm", "/well");
    await until(async () => (await inspect("sick")).State.Health.Status === "unhealthy");
    const { Health } = (await inspect("sick")).State;
    expect(Health.FailingStreak).toBeGreaterThanOrEqual(2);
    expect(Health.Log.at(-1).ExitCode).toBe(1);
    await engine.docker("rm", "-f", "sick");
  });

  test("pause, rename, update, top, stats, diff, commit, export", async () => {
    await engine.docker(
      "run",
      "-d",
      "--name",
      "busy",
      "busybox",
      "sh",
      "-c",
      "echo data > /made; rm /etc/group; sleep 1000",
    );
    await engine.docker("pause", "busy");
    expect((await inspect("busy")).State).toMatchObject({ Status: "paused", Paused: true, Running: true });
    expect((await engine.docker("exec", "busy", "true")).stderr).toContain(
      "is paused, unpause the container before exec",
    );
    await engine.docker("unpause", "busy");
    await engine.docker("rename", "busy", "idle");
    expect((await inspect("busy")).message).toBe("No such container: busy");
    expect((await engine.docker("update", "--memory", "64m", "--pids-limit", "50", "idle")).code).toBe(0);
    expect((await inspect("idle")).HostConfig).toMatchObject({ Memory: 64 << 20, PidsLimit: 50 });
    const top = (await engine.api("GET", "/containers/idle/top?ps_args=-o%20pid,args")).body;
    expect(top.Titles).toEqual(["PID", "COMMAND"]);
    expect(top.Processes.some(([, command]: string[]) => command === "sleep 1000")).toBe(true);
    const stats = (await engine.api("GET", "/containers/idle/stats?stream=false&one-shot=true")).body;
    expect(stats.memory_stats.limit).toBe(64 << 20);
    expect(stats.pids_stats).toMatchObject({ current: 1, limit: 50 });
    expect(stats.networks.eth0.tx_bytes).toBeGreaterThanOrEqual(0);
    const diff = (await engine.docker("diff", "idle")).stdout.trim().split("\n").sort();
    expect(diff).toContain("A /made");
    expect(diff).toContain("D /etc/group");
    expect((await engine.docker("commit", "-m", "kept", "-c", "ENV KEPT=yes", "idle", "kept:1")).code).toBe(0);
    const until = String((Date.now() + 1) / 1000);
    const committed = ["events", "--since", "1m", "--until", until, "-f", "event=commit", "--format"];
    expect((await engine.docker(...committed, "{{.Actor.Attributes.imageRef}}")).stdout).toBe("kept:1\n");
    // Under this name it was paused for the commit only.
    const still = ["events", "--since", "5m", "--until", until, "-f", "container=idle", "-f", "event=pause"];
    const paused = await engine.docker(...still, "-f", "event=unpause", "--format", "{{.Action}}");
    expect(paused.stdout).toBe("pause\nunpause\n");
    expect(
      (await engine.docker("run", "--rm", "--entrypoint", "sh", "kept:1", "-c", "cat /made; echo $KEPT; ls /etc/group"))
        .stdout,
    ).toBe("data\nyes\n");
    const exported = Bun.spawn(["sh", "-c", "docker export idle | tar t"], {
      env: { ...process.env, DOCKER_HOST: engine.host },
      stdout: "pipe",
    });
    const names = (await new Response(exported.stdout).text()).split("\n");
    expect(names).toContain("made");
    expect(names).not.toContain("etc/group");
    await engine.docker("rm", "-f", "idle");
    await engine.docker("rmi", "kept:1");
  });

  test("logs: follow, since, until, tail, rotation, details", async () => {
    await engine.docker(
      "run",
      "-d",
      "--name",
      "noisy",
      "--log-opt",
      "max-size=20k",
      "--log-opt",
      "max-file=3",
      "--label",
      "team=blue",
      "--log-opt",
      "labels=team",
      "busybox",
      "sh",
      "-c",
      "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line $i; done; sleep 0.6; echo last",
    );
    const followed = await engine.docker("logs", "-f", "noisy");
    expect(followed.stdout).toEndWith("line 1000\nlast\n");
    const all = (await engine.docker("logs", "noisy")).stdout.trim().split("\n");
    expect(all.at(-1)).toBe("last");
    expect(all.length).toBeLessThan(1001);
    const numbers = all.slice(0, -1).map((line) => Number(line.slice(5)));
    expect(numbers.every((number, index) => index === 0 || number === (numbers[index - 1] as number) + 1)).toBe(true);
    expect((await engine.docker("logs", "--tail", "3", "noisy")).stdout).toBe("line 999\nline 1000\nlast\n");
    expect((await engine.docker("logs", "--tail", "0", "noisy")).stdout).toBe("");
    expect((await engine.docker("logs", "--details", "--tail", "1", "noisy")).stdout).toBe("team=blue last\n");
    const time = (await engine.docker("logs", "-t", "--tail", "1", "noisy")).stdout.split(" ")[0] as string;
    expect((await engine.docker("logs", "--since", time, "noisy")).stdout).toBe("last\n");
    expect((await engine.docker("logs", "--until", time, "noisy")).stdout).toEndWith("last\n");
    expect((await engine.docker("run", "--name", "mute", "--log-driver", "none", "busybox", "echo", "hi")).stdout).toBe(
      "hi\n",
    );
    expect((await engine.docker("logs", "mute")).stderr).toContain(
      "configured logging driver does not support reading",
    );
    await engine.docker("rm", "noisy", "mute");
  });

  test("volumes: copy-up, sharing, nocopy, read-only, anonymous ones go with rm -v", async () => {
    const run = (...args: string[]) => engine.docker("run", "--rm", ...args);
    expect((await run("-v", "data:/etc", "busybox", "sh", "-c", "echo more > /etc/added; ls /etc/passwd")).stdout).toBe(
      "/etc/passwd\n",
    );
    expect((await run("-v", "data:/x", "busybox", "ls", "/x")).stdout).toContain("added\ngroup\n");
    expect((await run("-v", "empty:/etc:nocopy", "busybox", "ls", "/etc")).stdout).not.toContain("passwd\n");
    expect((await run("-v", "data:/x:ro", "busybox", "touch", "/x/y")).stderr).toContain("Read-only file system");
    expect((await engine.docker("volume", "rm", "data", "empty")).code).toBe(0);
    await engine.docker(
      "run",
      "--name",
      "owner",
      "-v",
      "/anonymous",
      "-v",
      "named:/named",
      "busybox",
      "touch",
      "/named/file",
    );
    expect((await run("--volumes-from", "owner", "busybox", "ls", "/named")).stdout).toBe("file\n");
    expect((await engine.docker("volume", "rm", "named")).stderr).toContain("volume is in use");
    await engine.docker("rm", "-v", "owner");
    await until(async () => (await engine.docker("volume", "ls", "-q")).stdout === "named\n");
    expect((await engine.docker("volume", "prune", "-af")).stdout).toContain("named");
  });

  test("cp keeps to Docker's path rules", async () => {
    await engine.docker(
      "run",
      "-d",
      "--name",
      "files",
      "-v",
      "vol:/vol",
      "busybox",
      "sh",
      "-c",
      "mkdir -p /d/e; echo f > /d/e/f; ln -s /d/e /link; sleep 1000",
    );
    await until(async () => (await engine.docker("exec", "files", "test", "-L", "/link")).code === 0);
    const list = async (path: string) => {
      const child = Bun.spawn(["sh", "-c", `docker cp files:${path} - | tar t`], {
        env: { ...process.env, DOCKER_HOST: engine.host },
        stdout: "pipe",
        stderr: "ignore",
      });
      return (await new Response(child.stdout).text()).trim().split("\n").sort();
    };
    expect(await list("/d")).toEqual(["d/", "d/e/", "d/e/f"]);
    expect(await list("/d/e/.")).toEqual(["./", "./f"]);
    expect(await list("/link")).toEqual(["link"]);
    expect(await list("/link/")).toEqual(["link/", "link/f"]);
    const target = `${engine.dir}/copied`;
    expect((await engine.docker("cp", "files:/d", target)).code).toBe(0);
    expect(await Bun.file(`${target}/e/f`).text()).toBe("f\n");
    expect((await engine.docker("cp", `${target}/e/f`, "files:/vol/g")).code).toBe(0);
    expect((await engine.docker("exec", "files", "cat", "/vol/g")).stdout).toBe("f\n");
    expect((await engine.docker("cp", `${target}/e/f`, "files:/nowhere/g")).code).toBe(1);
    // Stopped, with the volume where it would be mounted.
    await engine.docker("stop", "-t", "0", "files");
    expect((await engine.docker("cp", `${target}/e/f`, "files:/vol/h")).code).toBe(0);
    expect(await list("/vol")).toEqual(["vol/", "vol/g", "vol/h"]);
    expect(await list("/d")).toEqual(["d/", "d/e/", "d/e/f"]);
    await engine.docker("rm", "files");
    await engine.docker("volume", "rm", "vol");
  });

  test("--rm while a client looks on; many at once", async () => {
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, i) => engine.docker("run", "--rm", "busybox", "echo", String(i))),
    );
    expect(results.map((result) => result.stdout.trim())).toEqual(Array.from({ length: 12 }, (_, i) => String(i)));
    expect((await engine.docker("ps", "-aq")).stdout).toBe("");
  });

  test("a commit meets a container that ends this moment, a pause is told so", async () => {
    for (let round = 0; round < 15; round++) {
      const { body } = await engine.api("POST", "/containers/create", { Image: "busybox", Cmd: ["touch", "/made"] });
      await engine.api("POST", `/containers/${body.Id}/start`);
      const ask = (path: string) => engine.api("POST", path);
      const made = await ask(round % 2 === 0 ? `/commit?container=${body.Id}&pause=1` : `/containers/${body.Id}/pause`);
      if (round % 2 === 0) expect([made.status, made.body.message]).toEqual([201, undefined]);
      else if (made.status !== 204)
        expect([made.status, made.body.message]).toEqual([409, `container ${body.Id} is not running`]);
      await engine.api("DELETE", `/containers/${body.Id}?force=1`);
    }
  });
});
