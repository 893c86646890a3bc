import { expect, test } from "bun:test";
import { linkEnv } from "./link-env.ts";

const base = { name: "/web/my-db", alias: "my-db", address: "172.17.0.2", ports: [], env: [] };

test("TCP comes before UDP, the lowest port is the default; the other's variables but HOME and PATH are told", () => {
  expect(
    linkEnv({ ...base, ports: ["53/udp", "443/tcp", "80/tcp"], env: ["A=1=2", "EMPTY=", "BARE", "HOME=/", "PATH=/"] }),
  ).toEqual([
    "MY_DB_PORT=tcp://172.17.0.2:80",
    "MY_DB_PORT_80_TCP=tcp://172.17.0.2:80",
    "MY_DB_PORT_80_TCP_ADDR=172.17.0.2",
    "MY_DB_PORT_80_TCP_PORT=80",
    "MY_DB_PORT_80_TCP_PROTO=tcp",
    "MY_DB_PORT_443_TCP=tcp://172.17.0.2:443",
    "MY_DB_PORT_443_TCP_ADDR=172.17.0.2",
    "MY_DB_PORT_443_TCP_PORT=443",
    "MY_DB_PORT_443_TCP_PROTO=tcp",
    "MY_DB_PORT_53_UDP=udp://172.17.0.2:53",
    "MY_DB_PORT_53_UDP_ADDR=172.17.0.2",
    "MY_DB_PORT_53_UDP_PORT=53",
    "MY_DB_PORT_53_UDP_PROTO=udp",
    "MY_DB_NAME=/web/my-db",
    "MY_DB_ENV_A=1=2",
    "MY_DB_ENV_EMPTY=",
  ]);
});

test("ports in a row of one protocol are told as a range, too", () => {
  const env = linkEnv({ ...base, ports: ["7002/tcp", "7000/tcp", "7001/tcp", "7003/udp", "9/tcp"] });
  expect(env.filter((entry) => /_(START|END)=/.test(entry))).toEqual([
    "MY_DB_PORT_7000_TCP_START=tcp://172.17.0.2:7000",
    "MY_DB_PORT_7000_TCP_PORT_START=7000",
    "MY_DB_PORT_7000_TCP_END=tcp://172.17.0.2:7002",
    "MY_DB_PORT_7000_TCP_PORT_END=7002",
  ]);
  expect(env).toContain("MY_DB_PORT=tcp://172.17.0.2:9");
});

test("without ports there is the name only", () => {
  expect(linkEnv(base)).toEqual(["MY_DB_NAME=/web/my-db"]);
});
