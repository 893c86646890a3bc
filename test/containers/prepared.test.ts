import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

/** A container that somebody has attached to, and that was not started yet. */
describe.skipIf(!canRunContainers)("what is made ahead of the start", () => {
  let engine: TestEngine;
  const sockets: Socket[] = [];
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await engine?.close();
  });

  const tasks = () => readdirSync(`${engine.dir}/exec/containers`);
  /** The container's cgroups, in whatever hierarchy. */
  const cgroups = (id: string) =>
    ["", ...readdirSync("/sys/fs/cgroup")]
      .map((hierarchy) => `/sys/fs/cgroup/${hierarchy}/gantry-test-${engine.bridge.slice(2)}/${id}`)
      .filter((path) => existsSync(path));
  const hasCgroup = (id: string) => cgroups(id).length > 0;
  /** The pid of the container's first process, 0 while there is none. */
  const init = (id: string) =>
    Number(
      cgroups(id)
        .map((path) => readFileSync(`${path}/cgroup.procs`, "utf8").split("\n")[0])
        .find(Boolean) ?? 0,
    );
  const create = async (name: string, script: string, ...options: string[]): Promise<string> => {
    const { stdout } = await engine.docker("create", "--name", name, ...options, "busybox", "sh", "-c", script);
    return stdout.trim();
  };
  /** Attaches over the API; what comes is gathered. */
  const attach = async (id: string): Promise<{ text: () => string; ended: Promise<void> }> => {
    const socket = connect(engine.socket);
    sockets.push(socket);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    const ended = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.write(
      `POST /v1.47/containers/${id}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n`,
    );
    await eventually(() => text.includes("\r\n\r\n"));
    return { text: () => text, ended };
  };
  const status = async (id: string) =>
    (await engine.docker("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", id)).stdout.trim();

  test("an attach makes the task; the container stays created until its start takes it", async () => {
    const id = await create("ahead", "echo out; hostname; cat /etc/hosts");
    const attached = await attach(id);
    await eventually(() => tasks().includes(id));
    expect(await status(id)).toBe("created 0");
    expect((await engine.docker("start", id)).code).toBe(0);
    await attached.ended;
    expect(attached.text()).toContain("out\n");
    // The network came after the files were mounted: its address is in them all the same.
    expect(attached.text()).toMatch(new RegExp(`${engine.net.replace(".", "\\.")}\\.\\d+\\.\\d+\\t${id.slice(0, 12)}`));
    // Its output ends a moment before it does.
    expect((await engine.docker("wait", id)).stdout).toBe("0\n");
    expect((await engine.docker("rm", id)).code).toBe(0);
  });

  test("nothing is left of it where no start comes, and a later start works", async () => {
    const id = await create("patience", "echo late");
    const attached = await attach(id);
    await eventually(() => tasks().includes(id));
    await eventually(() => hasCgroup(id));
    await eventually(() => !tasks().includes(id));
    expect(hasCgroup(id)).toBe(false);
    expect(await status(id)).toBe("created 0");
    expect((await engine.docker("start", id)).code).toBe(0);
    await attached.ended;
    expect(attached.text()).toContain("late\n");
  });

  test("nor anything in the way of a container that is to be removed at its end", async () => {
    const id = await create("slow", "echo late", "--rm");
    const attached = await attach(id);
    await eventually(() => tasks().includes(id));
    await eventually(() => !tasks().includes(id));
    expect((await engine.docker("start", id)).stderr).toBe("");
    await attached.ended;
    expect(attached.text()).toContain("late\n");
  });

  test("files copied in, other limits, another name: the start goes by what holds then", async () => {
    const id = await create(
      "changed",
      "cat /given; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null",
    );
    const attached = await attach(id);
    await eventually(() => tasks().includes(id));
    const source = `${engine.dir}/given`;
    await Bun.write(source, "from outside\n");
    expect((await engine.docker("cp", source, `${id}:/given`)).code).toBe(0);
    expect(tasks()).not.toContain(id);
    const again = await attach(id);
    await eventually(() => tasks().includes(id));
    expect((await engine.docker("update", "--pids-limit", "77", id)).code).toBe(0);
    expect((await engine.docker("start", id)).code).toBe(0);
    await Promise.all([attached.ended, again.ended]);
    for (const { text } of [attached, again]) {
      expect(text()).toContain("from outside\n");
      expect(text()).toContain("77\n");
    }
  });

  test("a removal takes it along", async () => {
    const id = await create("removed", "true");
    const attached = await attach(id);
    await eventually(() => tasks().includes(id));
    expect((await engine.docker("rm", id)).code).toBe(0);
    await attached.ended;
    await eventually(() => !tasks().includes(id));
  });

  test("a daemon that is killed then leaves a container that was never started", async () => {
    const id = await create("crashed", "echo after");
    await attach(id);
    await eventually(() => tasks().includes(id));
    await engine.crash();
    await engine.restart();
    expect(await status(id)).toBe("created 0");
    expect((await engine.docker("start", "-a", id)).stdout).toBe("after\n");
  });

  test("so does one whose shim is killed with it", async () => {
    const id = await create("alone", "echo after");
    await attach(id);
    await eventually(() => init(id) > 0);
    const shim = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${init(id)}/status`, "utf8"))![1]);
    expect(readFileSync(`/proc/${shim}/comm`, "utf8")).toBe("gantry-shim\n");
    await engine.crash();
    process.kill(shim, "SIGKILL");
    await engine.restart();
    expect(await status(id)).toBe("created 0");
    expect((await engine.docker("start", "-a", id)).stdout).toBe("after\n");
  });
});
