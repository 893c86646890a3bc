import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseDaemonConfig } from "./daemon-config.ts";

const dir = mkdtempSync(`${tmpdir()}/gantry-config-`);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
/** Flags, and a daemon.json with this content. */
function parse(flags: string[], json: unknown = {}) {
  const file = `${dir}/${files++}.json`;
  writeFileSync(file, typeof json === "string" ? json : JSON.stringify(json));
  return parseDaemonConfig([...flags, "--config-file", file]);
}

test("defaults", () => {
  const config = parse([]);
  expect(config.hosts).toEqual(["unix:///run/gantry.sock"]);
  expect(config.engine).toMatchObject({
    dataRoot: "/var/lib/gantry",
    execRoot: "/run/gantry",
    logDriver: "json-file",
    defaultRuntime: "gantry",
  });
});

test("flags in all their forms", () => {
  const config = parse([
    "-H",
    "unix:///a.sock",
    "-Htcp://127.0.0.1:1234",
    "--host=tcp://[::1]:2",
    "-D",
    "--live-restore=false",
    "--data-root=/d/",
    "--log-opt",
    "max-size=1m",
    "--log-opt",
    "max-file=2",
    "--label",
    "a=b",
    "--default-ulimit",
    "nofile=10:20",
    "--add-runtime",
    "x=/bin/x",
    "--default-address-pool",
    "base=10.0.0.0/8,size=24",
    "--bip",
    "10.1.0.1/16",
    "--insecure-registry",
    "r:5000",
    "--mtu",
    "1400",
    "--default-shm-size",
    "128m",
    "--dns",
    "1.1.1.1",
  ]);
  expect(config.hosts).toEqual(["unix:///a.sock", "tcp://127.0.0.1:1234", "tcp://[::1]:2"]);
  expect(config.engine).toMatchObject({
    debug: true,
    dataRoot: "/d",
    logOpts: { "max-size": "1m", "max-file": "2" },
    labels: ["a=b"],
    defaultUlimits: { nofile: { Name: "nofile", Soft: 10, Hard: 20 } },
    runtimes: { x: { path: "/bin/x" } },
    defaultShmSize: 128 << 20,
    dns: ["1.1.1.1"],
  });
  expect(config.network).toMatchObject({
    bip: "10.1.0.1/16",
    mtu: 1400,
    addressPools: [{ base: "10.0.0.0/8", size: 24 }],
  });
  expect(config.registry.insecureRegistries).toEqual(["r:5000"]);
});

test("daemon.json, with dockerd's keys", () => {
  const config = parse([], {
    hosts: ["unix:///b.sock"],
    "log-driver": "local",
    runtimes: { crun: { path: "/usr/bin/crun", runtimeArgs: ["--debug"] } },
    "registry-mirrors": ["https://mirror.example"],
    "default-address-pools": [{ base: "10.0.0.0/8", size: 24 }],
    "max-concurrent-downloads": 7,
    iptables: false,
    features: { buildkit: true },
  });
  expect(config.hosts).toEqual(["unix:///b.sock"]);
  expect(config.engine.runtimes).toEqual({ crun: { path: "/usr/bin/crun", runtimeArgs: ["--debug"] } });
  expect(config.registry).toMatchObject({ registryMirrors: ["https://mirror.example"], maxConcurrentDownloads: 7 });
  expect(config.network.iptables).toBe(false);
  expect(config.warnings).toEqual(["--feature has no meaning in this engine and is ignored"]);
});

test("refusals, in dockerd's words", () => {
  const refused: [string[], unknown, string][] = [
    [["--no-such"], {}, "unknown flag: --no-such"],
    [["-Z"], {}, "unknown shorthand flag: 'Z' in -Z"],
    [["--mtu", "x"], {}, 'strconv.ParseInt: parsing "x": invalid syntax'],
    [["--debug=maybe"], {}, "strconv.ParseBool"],
    [["extra"], {}, "accepts no arguments"],
    [[], { "no-such-key": 1 }, "the following directives don't match any configuration option: no-such-key"],
    [
      ["--data-root", "/a"],
      { "data-root": "/b" },
      "specified both as a flag and in the configuration file: data-root: (from flag: /a, from file: /b)",
    ],
    [["--label", "a=b"], { labels: ["c=d"] }, "label: (from flag:"],
    [[], { mtu: "1400" }, "json: cannot unmarshal string into Go struct field Config.mtu of type int"],
    [[], "{", "unable to configure the daemon with file"],
    [["-H", "fd://"], {}, "socket activation is not supported"],
    [["-H", "npipe://x"], {}, "invalid bind address"],
    [["-H", `unix:///${"x".repeat(200)}`], {}, "longer than a socket's may be"],
    [["--userns-remap", "default"], {}, "--userns-remap is not supported"],
    [["--default-runtime", "nope"], {}, "specified default runtime 'nope' does not exist"],
    [["--storage-driver", "zfs"], {}, "driver not supported: zfs"],
    [["--log-driver", "nope"], {}, 'plugin "nope" not found'],
    [["--log-level", "loud"], {}, "invalid logging level: loud"],
    [["--label", "nope"], {}, "bad attribute format: nope"],
    [["--label", "a=1", "--label", "a=2"], {}, "conflict labels for a=2 and a=1"],
    [["--dns", "1.2.3"], {}, "1.2.3 is not an ip address"],
    [["--ip", "x"], {}, "invalid IP address: x"],
    [[], { "dns-search": ["a b"] }, "a b is not a valid domain"],
    [[], { "log-format": "xml" }, "invalid log format: xml"],
    [["--data-root", "relative"], {}, "must be an absolute path"],
    [["--registry-mirror", "ftp://x"], {}, "invalid mirror"],
  ];
  expect(() => parseDaemonConfig(["--bip"])).toThrow("flag needs an argument: --bip");
  for (const [flags, json, words] of refused) {
    let message = "accepted";
    try {
      parse(flags, json);
    } catch (error) {
      message = (error as Error).message;
    }
    expect([flags, message]).toEqual([flags, expect.stringContaining(words)]);
  }
});

test("a configuration file that is not there is only an error where it was asked for", () => {
  expect(() => parseDaemonConfig(["--config-file", `${dir}/none.json`])).toThrow("unable to configure the daemon");
});
