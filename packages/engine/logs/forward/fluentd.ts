import { randomBytes } from "node:crypto";
import { parseFluentdOptions } from "../../config/log-fluentd.ts";
import type { ForwardDriver } from "./driver.ts";
import { Frames } from "./frames.ts";
import { extraAttributes, type LogInfo } from "./info.ts";
import type { LogMessage } from "./message.ts";
import { MapReader, packMapHead, packPairs, packString } from "./msgpack.ts";
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
  const ready = (write: (out: Frames) => void) => {
    const out = new Frames();
    write(out);
    return Buffer.concat(out.data);
  };
  const head = ready((out) => {
    out.byte(0x94);
    packString(tag, out);
  });
  const sources = ["stdout", "stderr"].map((stream) => ready((out) => packPairs({ source: source ?? stream }, out)));
  const logKey = ready((out) => packString("log", out));
  const withoutPartial = Object.fromEntries(Object.entries(fixed).filter(([key]) => !PARTIAL.includes(key)));
  const [whole, part] = [fixed, withoutPartial].map((pairs) => ({
    count: Object.keys(pairs).length + 2,
    bytes: ready((out) => packPairs(pairs, out)),
  })) as [Fixed, Fixed];
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
    encode(message, out) {
      const { partial } = message;
      const from = out.length;
      const kept = partial === null ? whole : part;
      out.bytes(head);
      writeTime(message, subSecondPrecision, out);
      packMapHead(kept.count + (partial === null ? 0 : 4), out);
      out.bytes(kept.bytes);
      out.bytes(sources[message.stderr ? 1 : 0] as Buffer);
      out.bytes(logKey);
      packString(log ?? message.line, out);
      if (partial !== null) {
        const { id, ordinal, last } = partial;
        const pairs = { partial_message: "true", partial_id: id, partial_ordinal: String(ordinal) };
        packPairs({ ...pairs, partial_last: String(last) }, out);
      }
      if (!requestAck) {
        packMapHead(0, out);
        return;
      }
      const chunk = chunkId(message.seconds);
      packMapHead(1, out);
      packPairs({ chunk }, out);
      out.acks.push({ id: chunk, bytes: out.length - from });
    },
  };
}

/** Pairs that all messages have, and how many there are with source and log. */
interface Fixed {
  count: number;
  bytes: Buffer;
}

/**
 * As Fluentd's own clients write it: a signed number of four bytes, of eight from 2038 on; or extension type 0 of eight
 * bytes, seconds and nanoseconds.
 */
function writeTime({ seconds, nanoseconds }: LogMessage, exact: boolean, out: Frames): void {
  if (exact) {
    out.unsigned(0xd700, 2);
    out.unsigned(seconds >>> 0, 4);
    out.unsigned(nanoseconds, 4);
    return;
  }
  const long = seconds > 0x7fffffff;
  out.byte(long ? 0xd3 : 0xd2);
  if (long) out.unsigned(Math.floor(seconds / 2 ** 32), 4);
  out.unsigned(seconds >>> 0, 4);
}

function chunkId(seconds: number): string {
  const id = randomBytes(16);
  id.writeBigInt64LE(BigInt(seconds), 0);
  return id.toString("base64");
}
