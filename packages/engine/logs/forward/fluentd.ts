import { randomBytes } from "node:crypto";
import { parseFluentdOptions } from "../../config/log-fluentd.ts";
import type { ForwardDriver } from "./driver.ts";
import { extraAttributes, type LogInfo } from "./info.ts";
import type { LogMessage } from "./message.ts";
import { MapReader, packMapHead, packString } from "./msgpack.ts";
import { connectStream } from "./stream.ts";
import { logTag } from "./tag.ts";

/** Milliseconds to connect in. */
const TIMEOUT = 3000;
const LAST_DELAY = 60_000;
const PARTIAL = ["partial_message", "partial_id", "partial_ordinal", "partial_last"];

/**
 * The driver `fluentd`: each line as a message of the forward protocol (version 1, "message mode"). With request-ack many
 * are under way at once, and none counts as sent before it was acknowledged.
 */
export function fluentdDriver(info: LogInfo): ForwardDriver {
  const options = parseFluentdOptions(info.config);
  const tag = logTag(info);
  const { address, requestAck, writeTimeout, subSecondPrecision } = options;
  // Labels and variables that bear one of our names come instead of what it stands for.
  const own: Record<string, string> = { container_id: info.containerId, container_name: info.containerName };
  const record = { ...own, ...extraAttributes(info) };
  const { source, log, ...fixed } = record as Record<string, string>;
  const head = Buffer.concat([Buffer.from([0x94]), packString(tag)]);
  const sources = ["stdout", "stderr"].map((stream) => pack({ source: source ?? stream }));
  const logKey = packString("log");
  const constant = pack(fixed);
  const withoutPartial = Object.fromEntries(Object.entries(fixed).filter(([key]) => !PARTIAL.includes(key)));
  return {
    name: "fluentd",
    mustConnect: !options.async,
    retryDelay: (tries) => (tries === 0 ? 0 : Math.min(options.retryWait * Math.floor(1.5 ** (tries - 1)), LAST_DELAY)),
    connect() {
      const reader = new MapReader();
      const acks = (chunk: Uint8Array) => reader.push(chunk).map((answer) => answer["ack"] ?? "");
      const limits = { timeout: TIMEOUT, writeTimeout, ...(requestAck ? { acks } : {}) };
      return connectStream(
        address.type === "tls"
          ? { ...address, tls: { ca: "", cert: "", key: "", skipVerify: false } }
          : (address as never),
        limits,
      );
    },
    encode(message) {
      const { partial } = message;
      const kept = partial === null ? fixed : withoutPartial;
      const parts = [
        head,
        subSecondPrecision ? eventTime(message) : wholeSeconds(message.seconds),
        packMapHead(Object.keys(kept).length + 2 + (partial === null ? 0 : 4)),
        partial === null ? constant : pack(kept),
        sources[message.stderr ? 1 : 0] as Buffer,
        logKey,
        packString(log ?? message.line),
      ];
      if (partial !== null) {
        const { id, ordinal, last } = partial;
        parts.push(
          pack({
            partial_message: "true",
            partial_id: id,
            partial_ordinal: String(ordinal),
            partial_last: String(last),
          }),
        );
      }
      if (!requestAck) {
        parts.push(packMapHead(0));
        return Buffer.concat(parts);
      }
      const ack = chunkId(message.seconds);
      parts.push(packMapHead(1), pack({ chunk: ack }));
      return { bytes: Buffer.concat(parts), ack };
    },
  };
}

const pack = (record: Record<string, string>): Buffer =>
  Buffer.concat(Object.entries(record).flatMap(([key, value]) => [packString(key), packString(value)]));

/** As Fluentd's own clients write it: a signed number of four bytes, of eight from 2038 on. */
function wholeSeconds(seconds: number): Buffer {
  const out = Buffer.allocUnsafe(seconds > 0x7fffffff ? 9 : 5);
  out[0] = out.length === 9 ? 0xd3 : 0xd2;
  if (out.length === 9) out.writeBigInt64BE(BigInt(seconds), 1);
  else out.writeInt32BE(seconds, 1);
  return out;
}

/** Extension type 0 of eight bytes: seconds and nanoseconds. */
function eventTime({ seconds, nanoseconds }: LogMessage): Buffer {
  const out = Buffer.allocUnsafe(10);
  out.writeUInt16BE(0xd700, 0);
  out.writeUInt32BE(seconds >>> 0, 2);
  out.writeUInt32BE(nanoseconds, 6);
  return out;
}

function chunkId(seconds: number): string {
  const id = randomBytes(16);
  id.writeBigInt64LE(BigInt(seconds), 0);
  return id.toString("base64");
}
