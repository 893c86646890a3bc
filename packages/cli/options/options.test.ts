import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArguments } from "../parse.ts";
import { containerRequest } from "./container-config.ts";
import { containerFlags } from "./container-flags.ts";
import { csvFields } from "./csv.ts";
import { dockerignore } from "./dockerignore.ts";
import { ipamPools } from "./ipam.ts";
import { parseMount } from "./mounts.ts";
import { parsePlatform } from "./platform.ts";
import { parsePorts } from "./ports.ts";
import { parseCpus, parseDuration, parseSize } from "./sizes.ts";
import { timestamp } from "./timestamps.ts";

const dir = mkdtempSync(join(tmpdir(), "gantry-options-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const request = (...argv: string[]) => {
  const { flags, changed, args } = parseArguments([...argv, "busybox"], containerFlags, false);
  return containerRequest(flags, changed, args);
};

describe("numbers", () => {
  test("sizes", () => {
    const good: [string, number][] = [
      ["512m", 512 << 20],
      ["1.5g", 1610612736],
      ["64", 64],
      ["1KiB", 1024],
      ["2kb", 2048],
      ["0", 0],
      ["1 m", 1 << 20],
      ["3B", 3],
    ];
    for (const [text, size] of good) expect(parseSize(text)).toBe(size);
    for (const text of ["", "x", "m", "1x", "1mm", "-1", "1.2.3m"])
      expect(() => parseSize(text)).toThrow(/^invalid (size|suffix)/);
  });
  test("durations", () => {
    const good: [string, number][] = [
      ["1h30m", 5400e9],
      ["500ms", 5e8],
      ["-1.5s", -1.5e9],
      ["0", 0],
      ["1us", 1000],
    ];
    for (const [text, ns] of good) expect(parseDuration(text)).toBe(ns);
    for (const text of ["", "1", "x", "1x", "s"]) expect(() => parseDuration(text)).toThrow("time: ");
  });
  test("CPUs", () => {
    expect([".5", "1.5", "2", "1/4"].map(parseCpus)).toEqual([5e8, 15e8, 2e9, 25e7]);
    expect(() => parseCpus("x")).toThrow("failed to parse x as a rational number");
    expect(() => parseCpus("1/0")).toThrow("rational");
    expect(() => parseCpus("0.00000000001")).toThrow("value is too precise");
  });
  test("moments", () => {
    expect(timestamp("10m", 1_700_000_000_000)).toBe("1699999400.000000000");
    expect(timestamp("2024-01-02T03:04:05.5Z")).toBe("1704164645.500000000");
    expect(timestamp("1700000000.25")).toBe("1700000000.25");
    expect(timestamp("0")).toBe("0");
    expect(() => timestamp("soon")).toThrow('failed to parse value as time or duration: "soon"');
  });
  test("platforms", () => {
    expect(parsePlatform("linux/arm/v7")).toEqual({ os: "linux", architecture: "arm", variant: "v7" });
    expect(parsePlatform("linux/aarch64")).toEqual({ os: "linux", architecture: "arm64" });
    expect(parsePlatform("arm64")).toEqual({ os: "linux", architecture: "arm64" });
    expect(() => parsePlatform("foo")).toThrow('error parsing specified platform: "foo"');
  });
});

describe("ports", () => {
  test("in all forms", () => {
    expect(
      parsePorts(
        ["80", "8000-8001:90-91/udp", "127.0.0.1::5", "[::1]:6:7", "9000-9005:99", "published=1,target=2"],
        ["100-101", "5"],
      ),
    ).toEqual({
      exposed: {
        "80/tcp": {},
        "90/udp": {},
        "91/udp": {},
        "5/tcp": {},
        "7/tcp": {},
        "99/tcp": {},
        "2/tcp": {},
        "100/tcp": {},
        "101/tcp": {},
      },
      bindings: {
        "80/tcp": [{ HostIp: "", HostPort: "" }],
        "90/udp": [{ HostIp: "", HostPort: "8000" }],
        "91/udp": [{ HostIp: "", HostPort: "8001" }],
        "5/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }],
        "7/tcp": [{ HostIp: "::1", HostPort: "6" }],
        "99/tcp": [{ HostIp: "", HostPort: "9000-9005" }],
        "2/tcp": [{ HostIp: "", HostPort: "1" }],
      },
    });
  });
  test("refused", () => {
    const bad: [string, string][] = [
      ["x", "Invalid containerPort: x"],
      ["1:x", "Invalid containerPort: x"],
      ["x:1", "Invalid hostPort: x"],
      ["1.2.3:1:2", "Invalid ip address: 1.2.3"],
      ["1:2/x", "Invalid proto: x"],
      ["1-3:5-6", "Invalid ranges specified"],
      ["70000:1", "Invalid hostPort: 70000"],
      ["1:", "No port specified: 1:<empty>"],
    ];
    for (const [text, message] of bad) expect(() => parsePorts([text], [])).toThrow(message);
    expect(() => parsePorts([], ["1:2"])).toThrow("invalid port format for --expose: 1:2");
  });
});

describe("mounts", () => {
  test("of each type", () => {
    expect(parseMount("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave")).toEqual({
      Type: "bind",
      Source: "/a",
      Target: "/b",
      ReadOnly: true,
      BindOptions: { Propagation: "rslave" },
    });
    expect(parseMount('"volume-opt=o=a,b",source=v,target=/v,volume-nocopy=false')).toEqual({
      Type: "volume",
      Source: "v",
      Target: "/v",
      VolumeOptions: { NoCopy: false, DriverConfig: { Options: { o: "a,b" } } },
    });
    expect(parseMount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770")).toEqual({
      Type: "tmpfs",
      Target: "/t",
      TmpfsOptions: { SizeBytes: 1 << 20, Mode: 0o1770 },
    });
  });
  test("refused", () => {
    const bad: [string, string][] = [
      ["", "value is empty"],
      ["foo", "invalid field 'foo' must be a key=value pair"],
      ["src=a", "target is required"],
      ["type=,dst=/x", "type is required"],
      ["x=y,dst=/x", "unknown option 'x' in 'x=y'"],
      ["type=bind,dst=/x,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"],
      ["dst=/x,readonly=maybe", "invalid value for 'readonly'"],
      ["type=tmpfs,dst=/x,tmpfs-size=x", "invalid value for tmpfs-size: x"],
      ["type=bind,src=/a,dst=/x,bind-recursive=readonly", "requires 'readonly'"],
    ];
    for (const [text, message] of bad) expect(() => parseMount(text)).toThrow(message);
  });
});

test("CSV with quotes", () => {
  expect(csvFields('a,"b,""c""",d')).toEqual(["a", 'b,"c"', "d"]);
  expect(() => csvFields('a,"b')).toThrow("quoted-field");
  expect(() => csvFields('a"b')).toThrow("bare");
});

describe("a container", () => {
  test("without options is Docker's default", () => {
    expect(request()).toMatchObject({
      Image: "busybox",
      AttachStdin: false,
      AttachStdout: true,
      AttachStderr: true,
      HostConfig: { NetworkMode: "default", Binds: null, RestartPolicy: { Name: "no", MaximumRetryCount: 0 } },
      NetworkingConfig: { EndpointsConfig: { default: {} } },
    });
    expect(request().Cmd).toBeUndefined();
    expect(request().Entrypoint).toBeUndefined();
  });
  test("environment: from files, this process, and taken away", () => {
    const file = join(dir, "env");
    writeFileSync(file, "\uFEFF# comment\n\nFROM_FILE=1 2\r\nHOME\nNOT_SET_ANYWHERE\n");
    expect(request("--env-file", file, "-e", "A=b=c", "-e", "NOT_SET_ANYWHERE").Env).toEqual([
      "FROM_FILE=1 2",
      `HOME=${process.env.HOME}`,
      "A=b=c",
      "NOT_SET_ANYWHERE",
    ]);
    writeFileSync(file, "bad name=1\n");
    expect(() => request("--env-file", file)).toThrow(
      `invalid env file (${file}): variable 'bad name' contains whitespaces`,
    );
    expect(() => request("--env-file", "/nonexistent")).toThrow("open /nonexistent: no such file or directory");
  });
  test("volumes: by name, by path, anonymous", () => {
    expect(request("-v", "/a:/b:ro", "-v", "name:/c", "-v", "/anon")).toMatchObject({
      HostConfig: { Binds: ["/a:/b:ro", "name:/c"] },
      Volumes: { "/anon": {} },
    });
    expect(request("-v", "./rel:/c").HostConfig?.Binds).toEqual([`${process.cwd()}/rel:/c`]);
  });
  test("networks in both forms", () => {
    expect(
      request(
        "--network",
        "a",
        "--network-alias",
        "x",
        "--ip",
        "1.2.3.4",
        "--network",
        "name=b,alias=y,driver-opt=k=v",
      ),
    ).toMatchObject({
      HostConfig: { NetworkMode: "a" },
      NetworkingConfig: {
        EndpointsConfig: {
          a: { Aliases: ["x"], IPAMConfig: { IPv4Address: "1.2.3.4" } },
          b: { Aliases: ["y"], DriverOpts: { k: "v" } },
        },
      },
    });
    expect(() => request("--network", "name=a,ip=1.1.1.1", "--ip", "2.2.2.2")).toThrow(
      "cannot specify both --ip and per-network IPv4 address",
    );
    expect(() => request("--network", "a", "--network", "a")).toThrow('network "a" is specified multiple times');
    for (const [one, other] of [
      ["a", "host"],
      ["host", "a"],
      ["none", "a"],
      ["a", "container:b"],
    ] as const) {
      expect(() => request("--network", one, "--network", other)).toThrow("cannot attach both user-defined and");
    }
  });
  test("capabilities get their prefix; what is added is not dropped", () => {
    expect(
      request("--cap-add", "net_admin", "--cap-drop", "CAP_NET_ADMIN", "--cap-drop", "chown").HostConfig,
    ).toMatchObject({ CapAdd: ["CAP_NET_ADMIN"], CapDrop: ["CAP_CHOWN"] });
  });
  test("contradictions are refused", () => {
    const bad: [string[], string][] = [
      [["--rm", "--restart", "always"], "cannot specify both --restart and --rm"],
      [["--restart", "on-failure:x"], "maximum retry count must be an integer"],
      [["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"],
      [["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-* options"],
      [["--health-interval", "-1s", "--health-cmd", "x"], "--health-interval cannot be negative"],
      [["--pid", "foo"], "--pid: invalid PID mode"],
      [["--uts", "foo"], "--uts: invalid UTS mode"],
      [["--memory-swappiness", "101"], "Valid memory swappiness range is 0-100"],
      [["--security-opt", "seccomp=/nonexistent"], "opening seccomp profile (/nonexistent) failed"],
      [["--security-opt", "foo"], 'Invalid --security-opt: "foo"'],
      [["--mac-address", "zz"], "zz is not a valid mac address"],
      [["--ulimit", "nofile=10:5"], "ulimit soft limit must be less than or equal to hard limit"],
      [["--gpus", "x"], "invalid count (x)"],
      [["--add-host", "x"], 'bad format for add-host: "x"'],
      [["--device", "rel"], "rel is not an absolute path"],
    ];
    for (const [argv, message] of bad) expect(() => request(...argv)).toThrow(message);
  });
});

describe("address pools", () => {
  test("each range, gateway and address goes to its subnet", () => {
    expect(
      ipamPools({
        subnets: ["10.0.0.0/16", "fd00::/64"],
        ranges: ["10.0.1.0/24"],
        gateways: ["fd00::1", "10.0.0.1"],
        auxiliary: { a: "10.0.0.5" },
      }),
    ).toEqual([
      { Subnet: "10.0.0.0/16", IPRange: "10.0.1.0/24", Gateway: "10.0.0.1", AuxiliaryAddresses: { a: "10.0.0.5" } },
      { Subnet: "fd00::/64", Gateway: "fd00::1", AuxiliaryAddresses: {} },
    ]);
  });
  test("refused", () => {
    expect(() => ipamPools({ subnets: ["10.0.0.0/16"], ranges: [], gateways: ["10.2.0.1"], auxiliary: {} })).toThrow(
      "no matching subnet for gateway 10.2.0.1",
    );
    expect(() =>
      ipamPools({ subnets: ["10.0.0.0/16", "10.0.1.0/24"], ranges: [], gateways: [], auxiliary: {} }),
    ).toThrow("overlapping");
    expect(() => ipamPools({ subnets: [], ranges: ["10.0.0.0/24"], gateways: [], auxiliary: {} })).toThrow(
      "must have a corresponding subnet",
    );
  });
});

test("a .dockerignore", () => {
  const rules = dockerignore("# comment\n*.log\n/build\n**/tmp\n!keep.log\na?c\nnode_modules/\ndir/*\n!dir/yes\n");
  const excluded = ["x.log", "build", "build/a/b", "a/b/tmp/c", "tmp", "abc", "node_modules/x", "dir/no"];
  const kept = ["keep.log", "a/x.log", "src/build", "abbc", "dir/yes", "dir"];
  for (const path of excluded) expect([path, rules.excludes(path)]).toEqual([path, true]);
  for (const path of kept) expect([path, rules.excludes(path)]).toEqual([path, false]);
});
