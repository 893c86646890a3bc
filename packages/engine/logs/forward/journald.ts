import { randomBytes } from "node:crypto";
import { systemError } from "@gantry/spec";
import { close, MSG, memfd, sealMemory, send, sendFds, writeAll } from "@gantry/sys";
import { connectUnix } from "./datagram.ts";
import type { ForwardDriver } from "./driver.ts";
import { extraAttributes, type LogInfo } from "./info.ts";
import { logTag } from "./tag.ts";

const SOCKET = "/run/systemd/journal/socket";
const INFO = 6;
const ERR = 3;

/**
 * The driver `journald`: each line as an entry in the journal's native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), one too big for a datagram in a sealed file in memory. The fields are
 * Docker's; the epoch is one of the daemon's run, in which the ordinals count.
 */
export function journaldDriver(info: LogInfo, socket = SOCKET): ForwardDriver {
  const tag = logTag(info);
  const fields: Record<string, string> = {
    CONTAINER_ID: info.containerId.slice(0, 12),
    CONTAINER_ID_FULL: info.containerId,
    CONTAINER_NAME: info.containerName.slice(1),
    CONTAINER_TAG: tag,
    IMAGE_NAME: info.imageName,
    SYSLOG_IDENTIFIER: tag,
    CONTAINER_LOG_EPOCH: randomBytes(32).toString("hex"),
    ...extraAttributes(info, fieldName),
  };
  const constant = Buffer.concat(Object.entries(fields).map(([name, value]) => field(name, value)));
  let ordinal = 0;
  return {
    name: "journald",
    mustConnect: true,
    retryDelay: (tries) => Math.min(100 * 2 ** tries, 2000),
    async connect() {
      try {
        return connectUnix(socket, sendEntry);
      } catch (error) {
        throw systemError("journald is not enabled on this host", error);
      }
    },
    encode({ line, stderr, time, partial }, out) {
      ordinal++;
      const parts = [field("PRIORITY", String(stderr ? ERR : INFO)), field("MESSAGE", line), constant];
      parts.push(field("SYSLOG_TIMESTAMP", time), field("CONTAINER_LOG_ORDINAL", String(ordinal)));
      if (partial !== null) {
        parts.push(field("CONTAINER_PARTIAL_ID", partial.id));
        parts.push(field("CONTAINER_PARTIAL_ORDINAL", String(partial.ordinal)));
        parts.push(field("CONTAINER_PARTIAL_LAST", String(partial.last)));
        if (!partial.last) parts.push(field("CONTAINER_PARTIAL_MESSAGE", "true"));
      }
      out.datagram(Buffer.concat(parts));
    },
  };
}

/** A label's or variable's name as the journal takes one: upper case, digits and underscores, none of these in front. */
const fieldName = (name: string): string =>
  name
    .replace(/[a-z]/g, (char) => char.toUpperCase())
    .replace(/[^A-Z0-9]/gu, "_")
    .replace(/^_+/, "");

/** `NAME=value`, or, where a newline is in it, the name, the length in eight bytes and the value. */
function field(name: string, value: string): Buffer {
  if (name === "") return Buffer.alloc(0);
  if (!value.includes("\n")) return Buffer.from(`${name}=${value}\n`);
  const data = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, data, Buffer.from("\n")]);
}

function sendEntry(fd: number, data: Uint8Array): void {
  try {
    send(fd, data, MSG.NOSIGNAL | MSG.DONTWAIT);
  } catch (error) {
    if ((error as { code?: string }).code !== "EMSGSIZE") throw error;
    const file = memfd("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    try {
      writeAll(file, data);
      sealMemory(file);
      sendFds(fd, new Uint8Array(0), [file]);
    } finally {
      close(file);
    }
  }
}

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
