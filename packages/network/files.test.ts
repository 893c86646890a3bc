import { describe, expect, test } from "bun:test";
import { hostsFile, resolvConf, splitExtraHost } from "./files.ts";
import type { Endpoint, Sandbox } from "./model.ts";

const endpoint = (ipv4: string, ipv6 = "") => ({ ipv4, ipv6 }) as Endpoint;
const sandbox = (more: Partial<Sandbox>): Sandbox => ({
  containerId: "c",
  name: "c",
  hostname: "box",
  domainname: "",
  mode: "network",
  pid: 0,
  endpoints: [],
  ports: [],
  exposed: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  extraHosts: [],
  links: [],
  sysctls: {},
  ...more,
});

describe("/etc/hosts", () => {
  test("has local names, extra hosts, links, and the container's own addresses, IPv4 before IPv6", () => {
    const text = hostsFile(
      sandbox({
        domainname: "example.org",
        extraHosts: ["a:1.2.3.4", "b=[::5]", "gate:host-gateway"],
        endpoints: [endpoint("10.0.0.2/24", "fd00::2/64"), endpoint("10.1.0.2/24")],
      }),
      [["10.0.0.3", "db other"]],
      "172.17.0.1",
    );
    expect(text).toBe(`127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
1.2.3.4\ta
::5\tb
172.17.0.1\tgate
10.0.0.3\tdb other
10.0.0.2\tbox.example.org box
10.1.0.2\tbox.example.org box
fd00::2\tbox.example.org box
`);
  });
  test("an extra host cannot bring lines of its own", () => {
    for (const entry of [
      "x",
      ":1.2.3.4",
      "a b:1.2.3.4",
      "a\nb:1.2.3.4",
      "a:1.2.3.4\n6.6.6.6 bank",
      "a:nonsense",
      "a:",
    ]) {
      expect(() => splitExtraHost(entry)).toThrow(/add-host/);
    }
  });
});

describe("/etc/resolv.conf", () => {
  test("with the embedded resolver names only it, and the user's servers become its upstreams", () => {
    const { text, upstreams } = resolvConf(
      sandbox({ dns: ["9.9.9.9", "127.0.0.1"], dnsSearch: ["a.example", "."], dnsOptions: ["timeout:1"] }),
      true,
      false,
    );
    expect(text.split("\n").slice(2)).toEqual([
      "nameserver 127.0.0.11",
      "search a.example",
      "options timeout:1 ndots:0",
      "",
    ]);
    expect(upstreams).toEqual([
      { address: "9.9.9.9", fromHost: false },
      { address: "127.0.0.1", fromHost: true },
    ]);
  });
  test("no option can bring lines of its own", () => {
    expect(() => resolvConf(sandbox({ dns: ["1.1.1.1\nnameserver 6.6.6.6"] }), true, false)).toThrow(
      "bad nameserver address",
    );
    expect(() => resolvConf(sandbox({ dnsSearch: ["a\nb"] }), true, false)).toThrow("invalid DNS option");
    expect(() => resolvConf(sandbox({ dnsOptions: ["a b"] }), true, false)).toThrow("invalid DNS option");
  });
  test("without it the servers stand there; ndots of the user is kept", () => {
    const own = sandbox({ dns: ["9.9.9.9"], dnsSearch: ["."], dnsOptions: ["ndots:3"] });
    expect(resolvConf(own, false, false).text.split("\n").slice(2)).toEqual([
      "nameserver 9.9.9.9",
      "options ndots:3",
      "",
    ]);
    expect(resolvConf(own, true, false).options).toEqual(["ndots:3"]);
  });
});
