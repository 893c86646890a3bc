import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { deflateSync, gzipSync } from "node:zlib";
import { GantryError, messageOf } from "@gantry/spec";
import { type GelfOptions, parseGelfOptions } from "../../config/log-gelf.ts";
import { connectDatagram } from "./datagram.ts";
import { joinHostPort } from "./dial.ts";
import type { ForwardDriver } from "./driver.ts";
import { extraAttributes, type LogInfo } from "./info.ts";
import { connectStream } from "./stream.ts";
import { logTag } from "./tag.ts";

/** Bytes of a datagram, of the head of a chunk, and how many chunks there may be. */
const DATAGRAM = 1420;
const CHUNK_HEAD = 12;
const MAX_CHUNKS = 128;
const INFO = 6;
const ERR = 3;

/**
 * The driver `gelf`: each line that is not empty as GELF 1.1, over UDP compressed and in chunks where it is long, over TCP
 * ended by a zero byte. A line that needs more than 128 chunks is not sent.
 */
export function gelfDriver(info: LogInfo): ForwardDriver {
  const options = parseGelfOptions(info.config);
  const { address } = options;
  const tail = extraFields(info);
  const head = `{"version":"1.1","host":${goJson(hostname())},"short_message":`;
  return {
    name: "gelf",
    mustConnect: true,
    retryDelay: (tries) => (tries === 0 ? 0 : options.reconnectDelay || 100),
    async connect() {
      try {
        if (address.type === "udp") return await connectDatagram(address as never);
        return await connectStream(address as never, { timeout: 0, writeTimeout: 0 });
      } catch (error) {
        const text = `gelf: cannot connect to GELF endpoint: ${joinHostPort(address.host, address.port)} ${messageOf(error)}`;
        throw new GantryError(error instanceof GantryError ? error.kind : "system", text, { cause: error });
      }
    },
    encode({ line, seconds, nanoseconds, stderr }, out) {
      if (line === "") return;
      const time = (seconds * 1000 + Math.floor(nanoseconds / 1e6)) / 1000;
      const text = `${head}${goJson(line)},"timestamp":${time},"level":${stderr ? ERR : INFO},${tail}`;
      if (address.type === "tcp") out.text(`${text}\0`);
      else for (const chunk of chunks(pack(Buffer.from(text), options))) out.datagram(chunk);
    },
  };
}

/** Fields that all lines have, to the closing brace; sorted by name, as Go writes a map. */
function extraFields(info: LogInfo): string {
  const fields: Record<string, string> = {
    _container_id: info.containerId,
    _container_name: info.containerName.slice(1),
    _image_id: info.imageId,
    _image_name: info.imageName,
    _command: info.command,
    _tag: logTag(info),
    _created: info.created,
    ...extraAttributes(info, (key) => (key.startsWith("_") ? key : `_${key}`)),
  };
  const sorted = Object.entries(fields).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `${sorted.map(([key, value]) => `${goJson(key)}:${goJson(value)}`).join(",")}}`;
}

/** Text as Go's encoding/json writes it. */
function goJson(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function pack(data: Buffer, { compression, level }: GelfOptions): Buffer {
  if (compression === "none") return data;
  return compression === "gzip" ? gzipSync(data, { level }) : deflateSync(data, { level });
}

/** One datagram, or chunks of it: 1e 0f, eight bytes to know them by, their number from 0, how many there are. */
function chunks(data: Buffer): Buffer[] {
  if (data.length <= DATAGRAM) return [data];
  const room = DATAGRAM - CHUNK_HEAD;
  const count = Math.ceil(data.length / room);
  if (count > MAX_CHUNKS) return [];
  const id = randomBytes(8);
  return Array.from({ length: count }, (_, i) =>
    Buffer.concat([Buffer.from([0x1e, 0x0f]), id, Buffer.from([i, count]), data.subarray(i * room, (i + 1) * room)]),
  );
}
