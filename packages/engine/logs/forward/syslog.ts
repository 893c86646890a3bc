import { hostname } from "node:os";
import { systemError } from "@gantry/spec";
import { parseSyslogOptions, type SyslogOptions } from "../../config/log-syslog.ts";
import { connectDatagram } from "./datagram.ts";
import type { Connection, ForwardDriver } from "./driver.ts";
import type { LogInfo } from "./info.ts";
import type { LogMessage } from "./message.ts";
import { connectStream } from "./stream.ts";
import { logTag } from "./tag.ts";

const LOCAL = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const INFO = 6;
const ERR = 3;

/**
 * The driver `syslog`: a message for each line that is not empty (RFC 3164 and its form without a host's name, RFC 5424
 * with seconds or microseconds), framed by a newline, over TLS with RFC 5424 by its length (RFC 5425) too. Times are those
 * of the lines, in the daemon's time zone.
 */
export function syslogDriver(info: LogInfo): ForwardDriver {
  const tag = logTag(info);
  const options = parseSyslogOptions(info.config);
  const { address, format } = options;
  const datagrams = address === null || address.type === "udp" || address.type === "unixgram";
  const framed = address?.type === "tcp+tls" && format.startsWith("rfc5424");
  const header = headerOf(options, tag);
  return {
    name: "syslog",
    mustConnect: true,
    retryDelay: (tries) => Math.min(100 * 2 ** tries, 2000),
    connect: () => open(options),
    encode(message, out) {
      if (message.line === "") return;
      const text = `${header(message)}${message.line}${message.line.endsWith("\n") ? "" : "\n"}`;
      if (datagrams) out.datagram(Buffer.from(text));
      else out.text(framed ? `${Buffer.byteLength(text)} ${text}` : text);
    },
  };
}

/** What comes before the text. The greater part is the same for all lines of a second. */
function headerOf(options: SyslogOptions, tag: string): (message: LogMessage) => string {
  const { facility, format } = options;
  const host = hostname();
  const { pid } = process;
  const levels = [`<${facility | INFO}>`, `<${facility | ERR}>`] as const;
  let second = Number.NaN;
  let stamp = { short: "", long: "", zone: "" };
  return ({ stderr, seconds, nanoseconds }) => {
    if (seconds !== second) {
      second = seconds;
      stamp = stampOf(new Date(seconds * 1000));
    }
    const level = levels[stderr ? 1 : 0];
    if (format === "") return `${level}${stamp.short} ${tag}[${pid}]: `;
    if (format === "rfc3164") return `${level}${stamp.short} ${host} ${tag}[${pid}]: `;
    const fraction = format === "rfc5424" ? "" : `.${String(Math.floor(nanoseconds / 1000)).padStart(6, "0")}`;
    return `${level}1 ${stamp.long}${fraction}${stamp.zone} ${host} ${tag} ${pid} ${tag} - `;
  };
}

function stampOf(date: Date): { short: string; long: string; zone: string } {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = date.getDate();
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const east = -date.getTimezoneOffset();
  const ahead = Math.abs(east);
  return {
    short: `${MONTHS[date.getMonth()]} ${String(day).padStart(2)} ${time}`,
    long: `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(day)}T${time}`,
    zone: east === 0 ? "Z" : `${east < 0 ? "-" : "+"}${two(Math.floor(ahead / 60))}:${two(ahead % 60)}`,
  };
}

async function open({ address, tls }: SyslogOptions): Promise<Connection> {
  const limits = { timeout: 0, writeTimeout: 0 };
  if (address === null) {
    for (const type of ["unixgram", "unix"] as const) {
      for (const path of LOCAL) {
        try {
          return await (type === "unix" ? connectStream({ type, path }, limits) : connectDatagram({ type, path }));
        } catch {
          // Another one.
        }
      }
    }
    throw systemError("Unix syslog delivery error");
  }
  switch (address.type) {
    case "udp":
    case "tcp":
    case "tcp+tls": {
      const { type, host, port } = address as { type: "udp" | "tcp" | "tcp+tls"; host: string; port: string };
      if (type === "udp") return connectDatagram({ type, host, port });
      return connectStream(type === "tcp" ? { type, host, port } : { type: "tls", host, port, tls }, limits);
    }
    case "unixgram":
      return connectDatagram({ type: "unixgram", path: address.path });
    default:
      return connectStream({ type: "unix", path: address.path }, limits);
  }
}
