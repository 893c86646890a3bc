import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { LinuxSeccomp } from "@gantry/spec";
import { AF, bind, close, libc, listen, recvFds, SOCK, socket, unixAddress } from "@gantry/sys";
import { Bench, canRun, dockerSpec } from "../testing.ts";

describe.skipIf(!canRun)("seccomp of a running container", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench();
  });
  afterAll(() => bench.close());

  const withProfile = (args: string[], seccomp: LinuxSeccomp, noNewPrivileges = false) =>
    dockerSpec(args, (spec) => {
      spec.linux!.seccomp = seccomp;
      spec.process!.noNewPrivileges = noNewPrivileges;
    });

  test("a refused call, for init and for execs", async () => {
    const seccomp: LinuxSeccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
    };
    const { task, logPath } = await bench.create(withProfile(["sh", "-c", "mkdir /x; read y"], seccomp), {
      openStdin: true,
      stdinOnce: true,
    });
    const { readFileSync } = await import("node:fs");
    await task.start();
    const exec = await task.exec({
      id: "e",
      process: { args: ["mkdir", "/y"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
      openStdin: false,
    });
    await exec.start();
    expect((await exec.wait()).exitCode).toBe(1);
    expect(readFileSync(logPath, "utf8")).toContain("No space left on device");
    await task.kill(9);
    await task.wait();
  });

  test.each([true, false])("a list of few calls suffices to get started (no_new_privs %p)", async (nnp) => {
    const seccomp: LinuxSeccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [
        {
          names:
            `execve exit exit_group brk arch_prctl set_tid_address read write writev open openat close fstat stat newfstatat
            mmap munmap mprotect prctl capget capset setgroups setgid setuid chdir umask faccessat2 getuid geteuid getgroups
            rt_sigaction rt_sigprocmask rt_sigreturn ioctl readlink prlimit64 getrandom rseq set_robust_list uname getpid getppid getcwd`.split(
              /\s+/,
            ),
          action: "SCMP_ACT_ALLOW",
        },
      ],
    };
    const { exitCode, stdout, stderr } = await bench.run(withProfile(["echo", "up"], seccomp, nnp));
    expect([exitCode, stdout, stderr]).toEqual([0, "up\n", ""]);
  });

  test.each([true, false])(
    "a listener is given the filter's descriptor and the state (no_new_privs %p)",
    async (nnp) => {
      const path = join(bench.root, `listener-${nnp}`);
      const server = socket(AF.UNIX, SOCK.STREAM);
      bind(server, unixAddress(path));
      listen(server, 1);
      const { task } = await bench.create(
        withProfile(
          ["mkdir", "/x"],
          {
            defaultAction: "SCMP_ACT_ALLOW",
            listenerPath: path,
            listenerMetadata: 'some "words"',
            syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
          },
          nnp,
        ),
      );
      await task.start();
      const connection = libc.accept4(server, null, null, 0);
      const buffer = new Uint8Array(8192);
      const { length, fds } = recvFds(connection, buffer);
      const state = JSON.parse(new TextDecoder().decode(buffer.subarray(0, length)));
      expect(state).toMatchObject({
        fds: ["seccompFd"],
        pid: task.pid,
        metadata: 'some "words"',
        state: { id: task.id, status: "creating" },
      });
      expect(fds.length).toBe(1);
      // without anybody to answer, the call fails with ENOSYS
      for (const fd of [...fds, connection, server]) close(fd);
      expect((await task.wait()).exitCode).toBe(1);
    },
  );
});
