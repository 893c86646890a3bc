import { afterEach, describe, expect, test } from "bun:test";
import { AF, bind, close, inetAddress, listen, parseIp, SOCK, socket } from "@gantry/sys";
import { PortAllocator } from "./allocator.ts";
import { parsePort, portWishes } from "./bindings.ts";

const both = ["0.0.0.0", "::"];
const target = () => "172.17.0.2:80/tcp";

describe("bindings", () => {
  test("every form becomes wishes, container ports in order", () => {
    expect(
      portWishes(
        {
          "443/tcp": [{ HostIp: "::1", HostPort: "8443" }],
          "80": [
            { HostIp: "", HostPort: "8080" },
            { HostIp: "[::1]", HostPort: "" },
          ],
          "53/UDP": [{ HostPort: "5300-5310" }],
          "9/sctp": null,
        },
        both,
      ),
    ).toEqual([
      { protocol: "udp", containerPort: 53, hostIp: "0.0.0.0", first: 5300, last: 5310, pair: 1 },
      { protocol: "udp", containerPort: 53, hostIp: "::", first: 5300, last: 5310, pair: 1 },
      { protocol: "tcp", containerPort: 80, hostIp: "0.0.0.0", first: 8080, last: 8080, pair: 2 },
      { protocol: "tcp", containerPort: 80, hostIp: "::", first: 8080, last: 8080, pair: 2 },
      { protocol: "tcp", containerPort: 80, hostIp: "::1", first: 0, last: 0, pair: 3 },
      { protocol: "tcp", containerPort: 443, hostIp: "::1", first: 8443, last: 8443, pair: 4 },
    ]);
  });

  test("hostile ones are refused", () => {
    for (const key of ["80/icmp", "80/tcp/udp", "x", "-1", "65536", "80 ", "1e3", ""]) {
      expect(() => portWishes({ [key]: [{}] }, both)).toThrow(/invalid/);
    }
    for (const HostPort of ["x", "70000", "20-10", "1-2-3", "-5", "8080 ", "0x50"]) {
      expect(() => portWishes({ "80/tcp": [{ HostPort }] }, both)).toThrow(/invalid hostPort/);
    }
    for (const HostIp of ["1.2.3", "example.com", "1.2.3.4/24", "::g"]) {
      expect(() => portWishes({ "80/tcp": [{ HostIp }] }, both)).toThrow("invalid IP address");
    }
    expect(parsePort("80")).toEqual({ port: 80, protocol: "tcp" });
  });
});

describe("allocation", () => {
  let ports: PortAllocator;
  const fds: number[] = [];
  afterEach(() => {
    ports.close();
    for (const fd of fds.splice(0)) close(fd);
  });
  const occupy = (ip: string, port: number) => {
    const bytes = parseIp(ip)!;
    const fd = socket(bytes.length === 4 ? AF.INET : AF.INET6, SOCK.STREAM);
    fds.push(fd);
    bind(fd, inetAddress(bytes, port));
    listen(fd, 1);
  };
  const wish = (HostPort: string, HostIp = "") => portWishes({ "80/tcp": [{ HostIp, HostPort }] }, both);

  test("a port goes to one container only, and comes back", () => {
    ports = new PortAllocator();
    const first = ports.allocate(wish("29101"), target);
    expect(first.map((port) => port.hostIp)).toEqual(both);
    expect(() => ports.allocate(wish("29101"), target)).toThrow(
      "Bind for 0.0.0.0:29101 failed: port is already allocated",
    );
    expect(() => ports.allocate(wish("29101", "127.0.0.1"), target)).toThrow("Bind for 127.0.0.1:29101 failed");
    expect(() => ports.allocate(wish("29101", "::1"), target)).toThrow("Bind for [::1]:29101 failed");
    ports.release(first);
    ports.allocate(wish("29101", "127.0.0.1"), target);
    ports.allocate(wish("29101", "::1"), target);
    // UDP is another matter.
    ports.allocate(portWishes({ "80/udp": [{ HostPort: "29101" }] }, both), target);
  });

  test("a process of the host that has the port is noticed, and kept off one of ours", () => {
    ports = new PortAllocator();
    occupy("127.0.0.1", 29102);
    expect(() => ports.allocate(wish("29102"), target)).toThrow(
      "failed to bind host port for 0.0.0.0:29102:172.17.0.2:80/tcp: address already in use",
    );
    expect(() => ports.allocate(wish("29103", "203.0.113.77"), target)).toThrow(
      "failed to bind host port for 203.0.113.77:29103:172.17.0.2:80/tcp: cannot assign requested address",
    );
    const mine = ports.allocate(wish("29104"), target);
    expect(() => occupy("127.0.0.1", 29104)).toThrow("address already in use");
    ports.release(mine);
    occupy("127.0.0.1", 29104);
  });

  test("a range gives the first free port, the same for both families", () => {
    ports = new PortAllocator();
    occupy("::1", 29110);
    ports.allocate(wish("29111"), target);
    expect(ports.allocate(wish("29110-29113"), target).map((port) => port.hostPort)).toEqual([29112, 29112]);
    ports.allocate(wish("29110-29113"), target);
    expect(() => ports.allocate(wish("29110-29113"), target)).toThrow("all ports are allocated");
  });

  test("random ports come in turn out of the ephemeral range, and one that is in use is passed over", () => {
    ports = new PortAllocator([29120, 29123]);
    occupy("0.0.0.0", 29121);
    const take = () => ports.allocate(wish(""), target)[0]!.hostPort;
    expect([take(), take(), take()]).toEqual([29120, 29122, 29123]);
    expect(take).toThrow("all ports are allocated");
  });

  test("where the last of many cannot be had, none is kept", () => {
    ports = new PortAllocator();
    const bindings = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`${i + 1}/tcp`, [{ HostPort: String(29130 + i) }]]),
    );
    occupy("0.0.0.0", 29179);
    expect(() => ports.allocate(portWishes(bindings, both), target)).toThrow("29179");
    expect(ports.allocate(wish("29130"), target)).toHaveLength(2);
  });
});
