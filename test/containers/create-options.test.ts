import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { hostname } from "node:os";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

/** What a request to create comes to: Docker's answers to the same requests, field by field. */
describe.skipIf(!canRunContainers)("options of create", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const create = (body: object, api = "") =>
    engine.api("POST", `${api}/containers/create`, { Image: "busybox", Cmd: ["true"], ...body });
  const inspect = async (id: string) => (await engine.api("GET", `/containers/${id}/json`)).body;
  const run = (...args: string[]) => engine.docker("run", "--rm", ...args);

  test("refused, with Docker's words", async () => {
    const cases: [object, number, string][] = [
      [{ HostConfig: { SecurityOpt: ["systempaths=foo"] } }, 400, 'invalid --security-opt 2: "systempaths=foo"'],
      [{ HostConfig: { SecurityOpt: ["writable-cgroups=x"] } }, 400, 'invalid --security-opt 2: "writable-cgroups=x"'],
      [{ HostConfig: { Isolation: "hyperv" } }, 400, "invalid isolation (hyperv): linux only supports 'default'"],
      [{ HostConfig: { CapAdd: ["bogus"] } }, 400, 'invalid CapAdd: unknown capability: "CAP_BOGUS"'],
      [{ HostConfig: { Tmpfs: { "/": "" } } }, 400, "invalid specification: destination can't be '/'"],
      [{ HostConfig: { StorageOpt: { size: "1G" } } }, 400, "--storage-opt is supported only for overlay over xfs"],
      [{ HostConfig: { StorageOpt: { other: "1" } } }, 400, "Unknown option other"],
      [
        { HostConfig: { CpusetMems: "77" } },
        400,
        "Requested memory nodes are not available - requested 77, available: ",
      ],
      [{ HostConfig: { IpcMode: "container:nope" } }, 400, "No such container: nope"],
      [{ HostConfig: { PidMode: "container:nope" } }, 400, "No such container: nope"],
      [{ HostConfig: { VolumesFrom: ["nope:nocopy"] } }, 400, "invalid mode: nocopy"],
      [
        { HostConfig: { Binds: ["/tmp:/m:nocopy"] } },
        400,
        'mount config for type "bind": field VolumeOptions must not',
      ],
      [{ HostConfig: { Binds: ["vol:/m:shared"] } }, 400, 'mount config for type "volume": field BindOptions must not'],
      [
        { HostConfig: { Sysctls: { "net.ipv4.conf.eth0.forwarding": "1" } } },
        400,
        "must be supplied using driver option 'com.docker.network.endpoint.sysctls'",
      ],
      [{ Hostname: "a\nb" }, 400, "invalid hostname format"],
      [{ HostConfig: { ExtraHosts: ["a=1.2.3.4"] } }, 400, 'bad format for add-host: "a=1.2.3.4"'],
      [{ HostConfig: { ExtraHosts: ["a:1.2.3.4:5"] } }, 400, 'invalid IP address in add-host: "1.2.3.4:5"'],
      [{ HostConfig: { CpusetCpus: " 0" } }, 400, "Invalid value  0 for cpuset cpus: invalid format:  0"],
      [{ HostConfig: { IOMaximumIOps: 1 } }, 400, "QoS maximum IOPs configuration is not supported on linux"],
      [{ HostConfig: { BlkioWeight: 65536 } }, 400, "HostConfig.BlkioWeight of type uint16"],
      [{ HostConfig: { ConsoleSize: [-1, 1] } }, 400, "HostConfig.ConsoleSize of type uint64"],
      [{ HostConfig: { ShmSize: 1e30 } }, 400, "HostConfig.ShmSize of type int64"],
      [{ HostConfig: { Binds: ["a:/b:bogus"] } }, 400, "invalid mode: bogus"],
      [{ HostConfig: { Mounts: [{}] } }, 400, "field Target must not be empty"],
      [
        { HostConfig: { Mounts: [{ Type: "tmpfs", Target: "/t", TmpfsOptions: { Options: [["size=1m,exec"]] } }] } },
        400,
        'invalid mount config for type "tmpfs": invalid option: size=1m,exec',
      ],
      [{ NetworkingConfig: { EndpointsConfig: { bridge: null } } }, 400, "network bridge: EndpointsConfig is nil"],
    ];
    for (const [body, status, words] of cases) {
      const answer = await create(body);
      expect([body, answer.status, answer.body.message]).toEqual([body, status, expect.stringContaining(words)]);
    }
    expect((await engine.api("POST", "/containers/create", {})).body.message).toBe(
      "config cannot be empty in order to create a container",
    );
    expect((await engine.docker("ps", "-aq")).stdout).toBe("");
  });

  test("what means nothing here is taken and shown", async () => {
    const body = {
      ExposedPorts: { x: {}, "80/foo": {}, "90/tcp": {} },
      Healthcheck: { Test: [], Retries: 3 },
      HostConfig: {
        Annotations: {},
        ConsoleSize: [1],
        CpuCount: 2,
        CpuPercent: 5,
        DeviceRequests: [{ Driver: "x" }],
        Devices: [{ PathOnHost: "/dev/null" }],
        Memory: 2 ** 63,
        PortBindings: { "80/tcp": null },
        Sysctls: {},
        Tmpfs: {},
        Ulimits: [{ Name: "NOFILE", Hard: 200 }],
        UsernsMode: "private",
      },
    };
    const { status, body: made } = await create(body);
    const warnings = [
      "Following container port(s) have an empty list of port-bindings: 80/tcp. Such bindings will be discarded in a future version.",
      "linux does not support CPU percent. Percent discarded.",
    ];
    expect([status, made.Warnings]).toEqual([201, warnings]);
    const { Config, HostConfig: host } = await inspect(made.Id);
    expect(Config.ExposedPorts).toEqual(body.ExposedPorts);
    expect(Config.Healthcheck).toEqual({ Retries: 3 });
    for (const field of ["Annotations", "Sysctls", "Tmpfs"]) expect(host).not.toHaveProperty(field);
    expect(host).toMatchObject({
      ConsoleSize: [1, 0],
      CpuCount: 2,
      CpuPercent: 0,
      DeviceRequests: [{ Driver: "x", Count: 0, DeviceIDs: null, Capabilities: null, Options: null }],
      Devices: [{ PathOnHost: "/dev/null", PathInContainer: "", CgroupPermissions: "" }],
      PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "" }] },
      Ulimits: [{ Name: "NOFILE", Hard: 200, Soft: 0 }],
    });
    // Go's clients read these into an int64.
    for (const field of ["Memory", "MemorySwap"]) expect(BigInt(JSON.stringify(host[field]))).toBeLessThan(2n ** 63n);
    await engine.api("DELETE", `/containers/${made.Id}`);
    const started = await create({
      ExposedPorts: body.ExposedPorts,
      HostConfig: { Ulimits: [{ Name: "NOFILE", Soft: 100, Hard: 200 }] },
    });
    expect((await engine.api("POST", `/containers/${started.body.Id}/start`)).status).toBe(204);
    expect((await engine.docker("ps", "-a")).stdout).toContain("busybox");
  });

  test("endpoints no container can have are refused before anything is made", async () => {
    const endpoint = (settings: object) => create({ NetworkingConfig: { EndpointsConfig: { bridge: settings } } });
    const prefix = "invalid config for network bridge: ";
    for (const [settings, words] of [
      [
        { IPAMConfig: { IPv4Address: "1.2.3.4" } },
        "invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n* no configured subnet or ip-range contain the IP address 1.2.3.4",
      ],
      [
        { Aliases: ["x"] },
        "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks",
      ],
      [{ MacAddress: "zz" }, "invalid MAC address zz"],
    ] as const) {
      expect(await endpoint(settings)).toMatchObject({ status: 400, body: { message: prefix + words } });
    }
    // Beside the host's network, and beside none, there is no other.
    for (const mode of ["to-come", "host", "bridge"]) {
      const both = { [mode]: {}, [mode === "host" ? "to-come" : mode === "bridge" ? "none" : "host"]: {} };
      const request = { HostConfig: { NetworkMode: mode }, NetworkingConfig: { EndpointsConfig: both } };
      const words = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
      expect(await create(request)).toMatchObject({ status: 400, body: { message: words } });
    }
    // Of a network that is to come nothing is known.
    const { status, body } = await create({ NetworkingConfig: { EndpointsConfig: { bridge: {}, "to-come": {} } } });
    expect(status).toBe(201);
    await engine.docker("rm", body.Id);
  });

  test("left to the start", async () => {
    for (const [host, words] of [
      [
        { DeviceRequests: [{ Count: -1, Capabilities: [["gpu"]] }] },
        'could not select device driver "" with capabilities: [[gpu]]',
      ],
      [{ Devices: [{ PathOnHost: "/etc" }] }, 'adding custom device "/etc": not a device node'],
      [{ NetworkMode: "container:nope" }, "joining network namespace of container: No such container: nope"],
    ] as const) {
      const { body } = await create({ HostConfig: host });
      const start = await engine.api("POST", `/containers/${body.Id}/start`);
      expect(start.status).toBeGreaterThanOrEqual(400);
      expect(start.status).not.toBe(404);
      expect(start.body.message).toContain(words);
      const files = await inspect(body.Id);
      expect(files.LogPath).toEndWith("-json.log");
      expect(files.HostsPath).toEndWith("/hosts");
      await engine.docker("rm", body.Id);
    }
  });

  test("another's namespaces are joined, or not, at the start", async () => {
    const start = async (host: object) => {
      const { body } = await create({ HostConfig: host });
      const { status, body: answer } = await engine.api("POST", `/containers/${body.Id}/start`);
      return [status, answer?.message ?? ""];
    };
    const idle = (await create({})).body.Id;
    const busy = (await create({ Cmd: ["sleep", "100"] })).body.Id;
    await engine.docker("start", busy);
    const other = (id: string) => `container:${id}`;
    const words = "failed to join IPC namespace: container";
    expect(await start({ IpcMode: other(idle) })).toEqual([409, `${words} ${idle} is not running`]);
    expect(await start({ IpcMode: other(busy) })).toEqual([
      400,
      `${words} ${busy}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    ]);
    expect(await start({ PidMode: other(idle) })).toEqual([
      500,
      `failed to join PID namespace: container ${idle} is not running`,
    ]);
    const orphans = [(await create({ HostConfig: { IpcMode: other(idle) } })).body.Id];
    orphans.push((await create({ HostConfig: { PidMode: other(idle) } })).body.Id);
    await engine.docker("rm", idle);
    const gone = `namespace: No such container: ${idle}`;
    expect(await engine.api("POST", `/containers/${orphans[0]}/start`)).toMatchObject({
      status: 400,
      body: { message: `failed to join IPC ${gone}` },
    });
    expect(await engine.api("POST", `/containers/${orphans[1]}/start`)).toMatchObject({
      status: 500,
      body: { message: `failed to join PID ${gone}` },
    });
    await engine.docker("rm", "-f", busy);
  });

  test("an exec has the container's further groups and its OOM score, as whoever it runs", async () => {
    const options = ["--group-add", "1234", "--oom-score-adj", "100"];
    const id = (await engine.docker("run", "-d", ...options, "busybox", "sleep", "100")).stdout.trim();
    const exec = async (...args: string[]) => (await engine.docker("exec", ...args)).stdout;
    expect(await exec("-u", "5:6", id, "id", "-G")).toBe("6 1234\n");
    expect(await exec(id, "cat", "/proc/self/oom_score_adj")).toBe("100\n");
    await engine.docker("rm", "-f", id);
  });

  test("no init of its own among the processes of others", async () => {
    const id = (await engine.docker("run", "-d", "busybox", "sleep", "100")).stdout.trim();
    for (const mode of [`container:${id}`, "host"]) {
      const { stdout } = await run("--init", "--pid", mode, "busybox", "sh", "-c", "cat /proc/$PPID/cmdline");
      expect(stdout).not.toContain("docker-init");
    }
    expect((await run("--init", "busybox", "cat", "/proc/1/cmdline")).stdout).toContain("docker-init");
    await engine.docker("rm", "-f", id);
  });

  test("a range of exposed ports is port 0 of a running container", async () => {
    const { body } = await create({ Cmd: ["sleep", "100"], ExposedPorts: { "9000/tcp": {}, "9001-9003/udp": {} } });
    await engine.docker("start", body.Id);
    const { Config, NetworkSettings } = await inspect(body.Id);
    expect(Config.ExposedPorts).toEqual({ "9000/tcp": {}, "9001-9003/udp": {} });
    expect(NetworkSettings.Ports).toEqual({ "0/udp": null, "9000/tcp": null });
    await engine.docker("rm", "-f", body.Id);
  });

  test("messages name a container as the request did", async () => {
    const id = (await engine.docker("run", "-d", "--name", "named", "busybox", "sleep", "100")).stdout.trim();
    for (const name of ["named", id, id.slice(0, 8)]) {
      await engine.docker("unpause", id);
      const copy = await engine.api("GET", `/containers/${name}/archive?path=/nope`);
      expect(copy.body.message).toBe(`Could not find the file /nope in container ${name}`);
      await engine.docker("pause", id);
      const exec = await engine.api("POST", `/containers/${name}/exec`, { Cmd: ["true"] });
      expect(exec.body.message).toBe(`Container ${name} is paused, unpause the container before exec`);
    }
    await engine.docker("rm", "-f", id);
  });

  test("an endpoint that was given up has names, and no address that a request told of", async () => {
    await engine.docker("network", "create", "told");
    const asked = { Aliases: ["al"], IPAddress: "10.9.9.9", Gateway: "10.9.9.1", MacAddress: "02:42:11:22:33:44" };
    const { body } = await create({
      HostConfig: { NetworkMode: "told" },
      NetworkingConfig: { EndpointsConfig: { told: { ...asked, IPv6Gateway: "fd00::1" } } },
    });
    const endpoint = async () => (await inspect(body.Id)).NetworkSettings.Networks.told;
    expect(await endpoint()).toMatchObject({ ...asked, DNSNames: null });
    await engine.docker("start", "-a", body.Id);
    const { Name } = await inspect(body.Id);
    expect(await endpoint()).toMatchObject({
      Aliases: ["al"],
      IPAddress: "",
      Gateway: "",
      IPv6Gateway: "",
      MacAddress: "",
      DNSNames: [Name.slice(1), "al", body.Id.slice(0, 12)],
    });
    await engine.docker("rm", body.Id);
    await engine.docker("network", "rm", "told");
  });

  test("cgroups may be made writable, and read-only for the privileged", async () => {
    const mounted = async (...options: string[]) =>
      (await run(...options, "busybox", "sh", "-c", "grep ' /sys/fs/cgroup' /proc/mounts | tail -1")).stdout;
    expect(await mounted("--security-opt", "writable-cgroups=true")).toContain(" rw,");
    expect(await mounted()).toContain(" ro,");
    expect(await mounted("--privileged", "--security-opt", "writable-cgroups=false")).toContain(" ro,");
    expect(await mounted("--privileged")).toContain(" rw,");
  });

  test("weights of devices that the kernel does not know are left out", async () => {
    const result = await run("--blkio-weight-device", "/dev/nope:300", "busybox", "true");
    if (!result.stderr.includes("Weight-device discarded")) expect(result.stderr).toContain("stat /dev/nope");
    else expect(result.code).toBe(0);
  });

  test("a parent cgroup stays below the root, however it is written", async () => {
    const result = await run(
      "--cgroup-parent",
      "../../gantry-odd/../gantry",
      "--cgroupns",
      "host",
      "busybox",
      "cat",
      "/proc/self/cgroup",
    );
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(/:\/gantry\/[0-9a-f]{64}$/m);
  });

  test("what inspect says of them", async () => {
    const make = async (body: object) => {
      const { Id } = (await create(body)).body;
      const found = await inspect(Id);
      await engine.docker("rm", Id);
      return found;
    };
    expect((await make({ WorkingDir: "/etc/../tmp/" })).Config.WorkingDir).toBe("/tmp");
    expect((await make({ HostConfig: { Privileged: true } })).HostConfig.SecurityOpt).toEqual(["label=disable"]);
    expect(
      (await make({ HostConfig: { PidMode: "host", SecurityOpt: ["no-new-privileges"] } })).HostConfig.SecurityOpt,
    ).toEqual(["no-new-privileges", "label=disable"]);
    expect((await make({ HostConfig: { NetworkMode: "host" } })).Config.Hostname).toBe(hostname());
    const mac = "02:42:aa:bb:cc:dd";
    const withMac = await engine.api("POST", "/v1.51/containers/create", {
      Image: "busybox",
      NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: mac } } },
    });
    const old = await engine.api("GET", `/v1.51/containers/${withMac.body.Id}/json`);
    expect(old.body.Config.MacAddress).toBe(mac);
    await engine.docker("rm", withMac.body.Id);
  });

  test("another container's network brings its host name, and --mac-address is for nothing", async () => {
    await engine.docker("run", "-d", "--name", "owner", "-h", "one", "busybox", "sleep", "60");
    const args = ["--net", "container:owner", "--mac-address", "02:42:aa:bb:cc:dd"];
    expect(await run(...args, "busybox", "hostname")).toMatchObject({ code: 0, stdout: "one\n" });
    await engine.docker("rm", "-f", "owner");
  });

  test("old versions' sysctls of eth0 become the endpoint's", async () => {
    const { body } = await create({ HostConfig: { Sysctls: { "net.ipv4.conf.eth0.forwarding": "1" } } }, "/v1.47");
    expect(body.Warnings).toEqual([
      expect.stringContaining('Migrated sysctl "net.ipv4.conf.eth0.forwarding" to DriverOpts'),
    ]);
    const found = await inspect(body.Id);
    expect(found.HostConfig.Sysctls).toBeUndefined();
    expect(found.NetworkSettings.Networks.bridge.DriverOpts).toEqual({
      "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.forwarding=1",
    });
    expect((await engine.docker("start", "-a", body.Id)).code).toBe(0);
    await engine.docker("rm", body.Id);
  });

  test("volumes of another container: read-only where asked, without a mode of their own", async () => {
    await engine.docker("create", "--name", "giver", "-v", "given:/a", "busybox");
    const id = (await engine.docker("create", "--volumes-from", "giver:ro", "busybox")).stdout.trim();
    expect((await inspect(id)).Mounts).toMatchObject([{ Name: "given", Destination: "/a", Mode: "", RW: false }]);
    await engine.docker("rm", id, "giver");
  });

  test("whoever names networks is in these alone; an ID is as good as the name", async () => {
    const { Id: network } = (await engine.api("POST", "/networks/create", { Name: "own" })).body;
    const joined = async (mode: string | undefined, endpoint: string) => {
      const { body } = await create({
        Cmd: ["sleep", "60"],
        HostConfig: mode === undefined ? {} : { NetworkMode: mode },
        NetworkingConfig: { EndpointsConfig: { [endpoint]: { Aliases: ["known"] } } },
      });
      expect((await engine.api("POST", `/containers/${body.Id}/start`)).status).toBe(204);
      const networks: Record<string, { Aliases: string[] }> = (await inspect(body.Id)).NetworkSettings.Networks;
      await engine.docker("rm", "-f", body.Id);
      return Object.entries(networks).map(([name, { Aliases }]) => [name, Aliases]);
    };
    for (const [mode, endpoint] of [
      [undefined, "own"],
      ["bridge", "own"],
      ["own", network],
      [network, "own"],
      [network.slice(0, 12), network],
    ]) {
      expect([mode, endpoint, await joined(mode, endpoint)]).toEqual([mode, endpoint, [["own", ["known"]]]]);
    }
    const off = await create({ NetworkDisabled: true });
    expect((await inspect(off.body.Id)).NetworkSettings.Networks).toEqual({});
    await engine.docker("rm", off.body.Id);
    await engine.docker("network", "rm", "own");
  });

  test("-1 lifts a limit of processes", async () => {
    const limits = await run("--ulimit", "stack=-1:-1", "--ulimit", "core=0:-1", "busybox", "cat", "/proc/self/limits");
    expect(limits.stdout).toMatch(/^Max stack size +unlimited +unlimited/m);
    expect(limits.stdout).toMatch(/^Max core file size +0 +unlimited/m);
  });
});
