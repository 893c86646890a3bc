import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { gunzipSync, inflateSync } from "node:zlib";
import { AF, bind, close, MSG, pread, recvFds, SOCK, socket, unixAddress } from "@gantry/sys";
import type { ForwardDriver } from "./driver.ts";
import { fluentdDriver } from "./fluentd.ts";
import { Frames } from "./frames.ts";
import { gelfDriver } from "./gelf.ts";
import type { LogInfo } from "./info.ts";
import { journaldDriver } from "./journald.ts";
import type { LogMessage } from "./message.ts";
import { syslogDriver } from "./syslog.ts";

const root = mkdtempSync(`${tmpdir()}/gantry-wire-`);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const ID = "72dbe6a3d22341ca0c8fd74e774a6d8b41d8a1d6ed98cef5bd3068b1c0610d85";
const info = (config: Record<string, string> = {}): LogInfo => ({
  config,
  containerId: ID,
  containerName: "/hlp1",
  command: 'sh -c echo err >&2; printf "x"',
  imageId: "sha256:e35e465bbdd23e86",
  imageName: "busybox",
  created: "2026-11-21T11:11:12.951654256Z",
  labels: { b: "1", a: "2", "com.example/x-y": "z" },
  env: ["X=<é&>", "PATH=/bin"],
});
const message = (line: string, more: Partial<LogMessage> = {}): LogMessage => ({
  stderr: false,
  line,
  time: "2026-11-21T11:11:13.097654321Z",
  seconds: 1795259473,
  nanoseconds: 97654321,
  partial: null,
  ...more,
});
const part = { id: "ab".repeat(32), ordinal: 2, last: false };
const { pid } = process;

/** What a driver makes of a message: text of a stream, or datagrams. */
function encode(driver: ForwardDriver, one: LogMessage): { stream: Buffer; datagrams: Buffer[]; frames: Frames } {
  const frames = new Frames(Buffer.alloc(1));
  driver.encode(one, frames);
  return {
    stream: Buffer.concat(frames.length > 0 ? frames.data.slice(0, 1) : []),
    datagrams: frames.datagrams.map((one) => Buffer.from(one)),
    frames,
  };
}

// What Docker Engine 28.5 sends for the same, its own process and host put in.
test("syslog: every form, framed for every way", () => {
  const local = new Date(1795259473000);
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(local.getHours())}:${two(local.getMinutes())}:${two(local.getSeconds())}`;
  const stamp = `${local.toString().slice(4, 7)} ${String(local.getDate()).padStart(2)} ${clock}`;
  const east = -local.getTimezoneOffset();
  const zone =
    east === 0 ? "Z" : `${east < 0 ? "-" : "+"}${two(Math.floor(Math.abs(east) / 60))}:${two(Math.abs(east) % 60)}`;
  const date = `${local.getFullYear()}-${two(local.getMonth() + 1)}-${two(local.getDate())}T${clock}`;
  const text = (options: Record<string, string>, one = message("out")) =>
    String(encode(syslogDriver(info({ "syslog-address": "tcp://127.0.0.1", ...options })), one).stream);
  expect(text({})).toBe(`<30>${stamp} 72dbe6a3d223[${pid}]: out\n`);
  expect(text({}, message("err", { stderr: true }))).toBe(`<27>${stamp} 72dbe6a3d223[${pid}]: err\n`);
  expect(text({ "syslog-format": "rfc3164", tag: "{{.Name}}", "syslog-facility": "local0" })).toBe(
    `<134>${stamp} ${hostname()} hlp1[${pid}]: out\n`,
  );
  const modern = (fraction: string) =>
    `<30>1 ${date}${fraction}${zone} ${hostname()} 72dbe6a3d223 ${pid} 72dbe6a3d223 - out\n`;
  expect(text({ "syslog-format": "rfc5424" })).toBe(modern(""));
  expect(text({ "syslog-format": "rfc5424micro" })).toBe(modern(".097654"));
  const framed = modern("");
  expect(text({ "syslog-format": "rfc5424", "syslog-address": "tcp+tls://h" })).toBe(`${framed.length} ${framed}`);
  expect(text({ "syslog-address": "tcp+tls://h" })).toBe(`<30>${stamp} 72dbe6a3d223[${pid}]: out\n`);
  const udp = encode(syslogDriver(info({ "syslog-address": "udp://h" })), message("out"));
  expect([udp.stream.length, udp.datagrams.map(String)]).toEqual([0, [`<30>${stamp} 72dbe6a3d223[${pid}]: out\n`]]);
  expect(text({}, message(""))).toBe("");
});

test("fluentd: messages of the forward protocol", () => {
  const head = Buffer.concat([Buffer.from([0x94, 0xac]), Buffer.from("72dbe6a3d223")]);
  const pair = (key: string, value: string) =>
    Buffer.concat([
      Buffer.from([0xa0 + key.length]),
      Buffer.from(key),
      value.length < 32 ? Buffer.from([0xa0 + value.length]) : Buffer.from([0xd9, value.length]),
      Buffer.from(value),
    ]);
  const common = [pair("container_id", ID), pair("container_name", "/hlp1")];
  const seconds = Buffer.from("d26b017c51", "hex");
  expect(encode(fluentdDriver(info()), message("out")).stream).toEqual(
    Buffer.concat([
      head,
      seconds,
      Buffer.from([0x84]),
      ...common,
      pair("source", "stdout"),
      pair("log", "out"),
      Buffer.from([0x80]),
    ]),
  );
  const exact = fluentdDriver(info({ "fluentd-sub-second-precision": "true", labels: "a" }));
  expect(encode(exact, message("", { stderr: true, partial: part })).stream).toEqual(
    Buffer.concat([
      head,
      Buffer.from("d7006b017c5105d21631", "hex"),
      Buffer.from([0x89]),
      ...common,
      pair("a", "2"),
      pair("source", "stderr"),
      pair("log", ""),
      pair("partial_message", "true"),
      pair("partial_id", part.id),
      pair("partial_ordinal", "2"),
      pair("partial_last", "false"),
      Buffer.from([0x80]),
    ]),
  );
  const long = encode(fluentdDriver(info()), message("x".repeat(16384))).stream;
  expect(long.includes(Buffer.concat([Buffer.from("log"), Buffer.from([0xda, 0x40, 0x00])]))).toBe(true);
  const { stream, frames } = encode(fluentdDriver(info({ "fluentd-request-ack": "true" })), message("out"));
  const [ack] = frames.acks;
  expect(ack?.id).toMatch(/^UXwBawAAAA[A-Za-z0-9+/]{12}==$/);
  expect(ack?.bytes).toBe(stream.length);
  expect(stream.subarray(-32)).toEqual(
    Buffer.concat([Buffer.from([0x81]), pair("chunk", ack?.id ?? "")]).subarray(-32),
  );
});

const GELF_TAIL = `"_command":"sh -c echo err \\u003e\\u00262; printf \\"x\\"","_container_id":"${ID}","_container_name":"hlp1","_created":"2026-11-21T11:11:12.951654256Z","_image_id":"sha256:e35e465bbdd23e86","_image_name":"busybox","_tag":"72dbe6a3d223"}`;
const gelfHead = (line: string, level: number) =>
  `{"version":"1.1","host":"${hostname()}","short_message":${line},"timestamp":1795259473.097,"level":${level},`;

test("gelf: fields, compression, chunks", () => {
  const udp = { "gelf-address": "udp://127.0.0.1:9" };
  const plain = { ...udp, "gelf-compression-type": "none" };
  const one = (config: Record<string, string>, what = message("out")) =>
    encode(gelfDriver(info(config)), what).datagrams;
  expect(String(one(plain))).toBe(gelfHead('"out"', 6) + GELF_TAIL);
  expect(String(one({ ...plain, labels: "a,b", env: "X" }, message("<\u2028>", { stderr: true })))).toBe(
    `${gelfHead('"\\u003c\\u2028\\u003e"', 3)}"_X":"\\u003cé\\u0026\\u003e","_a":"2","_b":"1",${GELF_TAIL}`,
  );
  expect(String(gunzipSync(one(udp)[0] as Buffer))).toBe(gelfHead('"out"', 6) + GELF_TAIL);
  expect(
    String(inflateSync(one({ ...udp, "gelf-compression-type": "zlib", "gelf-compression-level": "-1" })[0] as Buffer)),
  ).toBe(gelfHead('"out"', 6) + GELF_TAIL);
  expect(String(encode(gelfDriver(info({ "gelf-address": "tcp://127.0.0.1:9" })), message("out")).stream)).toBe(
    `${gelfHead('"out"', 6) + GELF_TAIL}\0`,
  );
  expect(one(plain, message(""))).toEqual([]);

  const text = "y".repeat(16384);
  const chunks = one(plain, message(text));
  expect(chunks.slice(0, -1).every((chunk) => chunk.length === 1420)).toBe(true);
  expect(chunks.map((chunk) => [...chunk.subarray(0, 2), chunk[10], chunk[11]])).toEqual(
    chunks.map((_, i) => [0x1e, 0x0f, i, 12]),
  );
  expect(new Set(chunks.map((chunk) => chunk.toString("hex", 2, 10))).size).toBe(1);
  expect(String(Buffer.concat(chunks.map((chunk) => chunk.subarray(12))))).toBe(gelfHead(`"${text}"`, 6) + GELF_TAIL);
  expect(one(plain, message("z".repeat(200_000)))).toEqual([]);
});

test("journald: fields to a journal's socket, what is big in a sealed file", async () => {
  const path = `${root}/journal`;
  const server = socket(AF.UNIX, SOCK.DGRAM);
  bind(server, unixAddress(path));
  const buffer = new Uint8Array(1 << 20);
  const receive = () => {
    const { length, fds } = recvFds(server, buffer, MSG.DONTWAIT);
    if (fds.length === 0) return { text: Buffer.from(buffer.subarray(0, length)).toString("latin1"), file: false };
    const size = pread(fds[0] as number, buffer, 0);
    for (const fd of fds) close(fd);
    return { text: Buffer.from(buffer.subarray(0, size)).toString("latin1"), file: length === 0 };
  };
  const driver = journaldDriver(info({ labels: "com.example/x-y", tag: "t" }), path);
  const connection = await driver.connect();
  const send = (one: LogMessage) => connection.write(encode(driver, one).frames);
  await send(message("out"));
  const first = receive();
  const epoch = /CONTAINER_LOG_EPOCH=([0-9a-f]{64})\n/.exec(first.text)?.[1];
  const fixed = `CONTAINER_ID=72dbe6a3d223\nCONTAINER_ID_FULL=${ID}\nCONTAINER_NAME=hlp1\nCONTAINER_TAG=t\nIMAGE_NAME=busybox\nSYSLOG_IDENTIFIER=t\nCONTAINER_LOG_EPOCH=${epoch}\nCOM_EXAMPLE_X_Y=z\n`;
  const end = (ordinal: number) =>
    `SYSLOG_TIMESTAMP=2026-11-21T11:11:13.097654321Z\nCONTAINER_LOG_ORDINAL=${ordinal}\n`;
  expect(first).toEqual({ text: `PRIORITY=6\nMESSAGE=out\n${fixed}${end(1)}`, file: false });
  await send(message("a\nb", { stderr: true, partial: part }));
  expect(receive().text).toBe(
    `PRIORITY=3\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n${fixed}${end(2)}CONTAINER_PARTIAL_ID=${part.id}\nCONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n`,
  );
  const big = "z".repeat(600_000);
  await send(message(big));
  expect(receive()).toEqual({ text: `PRIORITY=6\nMESSAGE=${big}\n${fixed}${end(3)}`, file: true });
  close(server);
  // Nobody reads there any more.
  await expect(send(message("lost"))).rejects.toThrow();
  expect(connection.failed()).not.toBeNull();
  await expect(journaldDriver(info(), `${root}/none`).connect()).rejects.toThrow(
    "journald is not enabled on this host",
  );
});
