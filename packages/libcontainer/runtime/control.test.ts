import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bench, bytesOf, canRun, collect, dockerSpec, eventually, shimPath } from "../testing.ts";
import { withSocketPath } from "./control.ts";
import { decodeExit, encodeRequest, formatTime, Op, ReplyReader } from "./protocol.ts";

describe("the protocol's bytes", () => {
  test("a request", () => {
    const bytes = encodeRequest(7, Op.kill, 3, "id", Uint8Array.of(9));
    expect([...bytes]).toEqual([16, 0, 0, 0, 7, 0, 0, 0, 8, 0, 3, 0, 2, 0, 0, 0, 105, 100, 0, 9]);
  });

  test("replies come out whole, however they were cut", () => {
    const reply = Uint8Array.of(10, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 2);
    const reader = new ReplyReader();
    for (const byte of [...reply, ...reply.subarray(0, 13)]) {
      expect(reader.next()).toBeNull();
      reader.push(Uint8Array.of(byte));
      if (reader.rest.length === reply.length) expect(reader.next()).toMatchObject({ sequence: 5, ok: true });
    }
    expect(reader.next()).toBeNull();
    reader.push(Uint8Array.of(9));
    expect([...reader.next()!.body]).toEqual([1, 9]);
    reader.push(new Uint8Array(12).fill(255));
    expect(() => reader.next()).toThrow("malformed");
  });

  test("times as Go prints them", () => {
    expect(formatTime(0, 0)).toBe("1970-01-01T00:00:00Z");
    expect(formatTime(1_700_000_000, 120_000_000)).toBe("2023-11-14T22:13:20.12Z");
    expect(formatTime(1_700_000_000, 7)).toBe("2023-11-14T22:13:20.000000007Z");
    expect(decodeExit(new Uint8Array(24)).exitedAt).toBe("1970-01-01T00:00:00Z");
  });
});

describe.skipIf(!canRun)("a shim under pressure", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench();
  });
  afterAll(() => bench.close());

  test("garbage on its socket harms nobody", async () => {
    const { task, stateDir } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    let seed = 12345;
    const random = () => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed >> 8;
    };
    for (let round = 0; round < 150; round++) {
      const bytes =
        round % 3 === 0
          ? Uint8Array.from({ length: random() % 300 }, () => random())
          : // well-framed, with a random operation and body; never the ones that end or signal the container
            encodeRequest(
              random(),
              [0, 2, 4, 5, 6, 7, 9, 12, 13, 999][random() % 10]!,
              random() & 0xffff,
              ["", "x", "nosuch"][random() % 3]!,
              Uint8Array.from({ length: random() % 40 }, () => random()),
            );
      await withSocketPath(stateDir, async (unix) => {
        const socket = await Bun.connect({ unix, socket: { data() {}, open() {} } });
        socket.write(bytes);
        await Bun.sleep(0);
        socket.end();
      });
    }
    expect(await task.status()).toBe("running");
    await task.kill(9);
    expect((await task.wait()).exitCode).toBe(137);
  });

  test("forty at once", async () => {
    const codes = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const { stdout, exitCode } = await bench.run(dockerSpec(["sh", "-c", `echo ${i}; exit ${i}`]));
        expect(stdout).toBe(`${i}\n`);
        return exitCode;
      }),
    );
    expect(codes).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  test("sixty execs at once in one container, forgotten when done", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const said = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const exec = await task.exec({
          id: `e${i}`,
          process: { args: ["echo", `${i}`], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
          openStdin: false,
        });
        const output = collect(await exec.attach({ stdin: false, stdout: true, stderr: true }));
        await exec.start();
        await exec.wait();
        return (await output).stdout;
      }),
    );
    expect(said).toEqual(Array.from({ length: 60 }, (_, i) => `${i}\n`));
    await eventually(async () => (await task.findExec("e7")) === null);
    await task.kill(9);
    await task.wait();
  });

  const early = (args: string[]) => ({
    id: `early-${args.join("-").replace(/[^a-z-]/g, "")}`,
    process: { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
    openStdin: false,
    early: true,
  });

  test("an exec made early waits for its start, and its errors do", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const exec = await task.exec(early(["echo", "hello"]));
    const output = collect(await exec.attach({ stdin: false, stdout: true, stderr: true }));
    await eventually(async () => (await task.pids()).length === 2);
    await exec.start();
    expect((await exec.wait()).exitCode).toBe(0);
    expect((await output).stdout).toBe("hello\n");
    await eventually(async () => (await task.findExec(exec.id)) === null);

    const missing = await task.exec(early(["nosuch"]));
    await Bun.sleep(100);
    await expect(missing.start()).rejects.toMatchObject({ exitCode: 127 });
    await eventually(async () => (await task.findExec(missing.id)) === null);
    expect((await task.pids()).length).toBe(1);
    await task.kill(9);
    await task.wait();
  });

  test("an exec made early is discarded, by word or with the connection it came by", async () => {
    const { task, stateDir } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const unwanted = await task.exec(early(["true"]));
    await unwanted.discard();
    expect(await task.findExec(unwanted.id)).toBeNull();
    expect((await task.pids()).length).toBe(1);
    // Its id may be used again at once.
    const again = await task.exec({ ...early(["true"]), early: false });
    await again.discard();

    const program = `
      const { openRuntime } = await import(${JSON.stringify(new URL("./runtime.ts", import.meta.url).pathname)});
      const runtime = openRuntime({ shimPath: ${JSON.stringify(shimPath)} });
      const task = await runtime.find(${JSON.stringify(task.id)}, ${JSON.stringify(stateDir)});
      await task.exec(${JSON.stringify(early(["sleep", "9"]))});
      while ((await task.pids()).length < 2) await Bun.sleep(5);
      console.log("made");
      process.kill(process.pid, 9);`;
    const other = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    expect(await new Response(other.stdout).text()).toBe("made\n");
    await eventually(async () => (await task.pids()).length === 1);
    await task.kill(9);
    await task.wait();
  });

  test("what was made this moment can be killed whole, before its start", async () => {
    for (let round = 0; round < 10; round++) {
      const { task } = await bench.create(dockerSpec(["true"]));
      await task.kill(9, true);
      expect((await task.wait()).exitCode).toBe(137);
      expect(await task.neverStarted()).toBe(true);
      await task.delete();
    }
  });

  test("a reader that sleeps holds the process up, and loses nothing", async () => {
    const { task } = await bench.create(dockerSpec(["sh", "-c", "head -c 40000000 /dev/zero; echo end >&2"]), {
      log: null,
    });
    const stream = await task.attach({ stdin: false, stdout: true, stderr: true });
    await task.start();
    await Bun.sleep(700);
    expect(await task.status()).toBe("running");
    const bytes = await bytesOf(stream.output);
    const view = new DataView(bytes.buffer);
    const lengths = [0, 0];
    for (let at = 0; at < bytes.length; at += 8 + view.getUint32(at + 4))
      lengths[bytes[at]! - 1]! += view.getUint32(at + 4);
    expect(lengths).toEqual([40_000_000, 4]);
    expect((await task.wait()).exitCode).toBe(0);
  });

  test("input for a process that has closed its stdin is swallowed", async () => {
    const { task } = await bench.create(dockerSpec(["sh", "-c", "exec 0<&-; sleep 0.2; echo done"]), {
      openStdin: true,
      stdinOnce: true,
    });
    const stream = await task.attach({ stdin: true, stdout: true, stderr: true });
    const output = collect(stream);
    await task.start();
    const block = new Uint8Array(1 << 20);
    for (let i = 0; i < 8; i++) await stream.write(block).catch(() => {});
    expect((await output).stdout).toBe("done\n");
    expect((await task.wait()).exitCode).toBe(0);
  });
});
