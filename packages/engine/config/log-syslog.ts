import { statSync } from "node:fs";
import { invalidParameter } from "@gantry/spec";
import { parseGoUrl, splitHostPort } from "./go-url.ts";

export interface SyslogOptions {
  /** null: the machine's own syslog, wherever its socket is. */
  address:
    | { type: "udp" | "tcp" | "tcp+tls"; host: string; port: string }
    | { type: "unix" | "unixgram"; path: string }
    | null;
  /** Already in its place: a multiple of eight. */
  facility: number;
  /** "" is the form for the local machine: rfc3164 without the host's name. It is the default, as with Docker. */
  format: "" | "rfc3164" | "rfc5424" | "rfc5424micro";
  /** Files in PEM; "" for none. */
  tls: { ca: string; cert: string; key: string; skipVerify: boolean };
}

const FACILITIES =
  "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - local0 local1 local2 local3 local4 local5 local6 local7".split(
    " ",
  );

/** Checks the options of the driver `syslog`, and that a unix socket is there. Throws invalidParameter in Docker's words. */
export function checkSyslogOptions(options: Record<string, string>): void {
  const { address } = parseSyslogOptions(options);
  if (address === null || !("path" in address)) return;
  if (address.path !== "" && statSync(address.path, { throwIfNoEntry: false }) !== undefined) return;
  throw invalidParameter(`stat ${address.path}: no such file or directory`);
}

/** Reads the options of the driver `syslog`. Throws invalidParameter in Docker's words. */
export function parseSyslogOptions(options: Record<string, string>): SyslogOptions {
  const address = parseAddress(options["syslog-address"] ?? "");
  const facility = parseFacility(options["syslog-facility"] ?? "");
  const format = options["syslog-format"] ?? "";
  if (!["", "rfc3164", "rfc5424", "rfc5424micro"].includes(format)) throw invalidParameter("Invalid syslog format");
  return {
    address,
    facility,
    format: format as SyslogOptions["format"],
    tls: {
      ca: options["syslog-tls-ca-cert"] ?? "",
      cert: options["syslog-tls-cert"] ?? "",
      key: options["syslog-tls-key"] ?? "",
      // Its presence is what counts.
      skipVerify: options["syslog-tls-skip-verify"] !== undefined,
    },
  };
}

function parseAddress(text: string): SyslogOptions["address"] {
  if (text === "") return null;
  const { scheme, host, path } = parseGoUrl(text);
  if (scheme === "unix" || scheme === "unixgram") return { type: scheme, path };
  if (scheme !== "udp" && scheme !== "tcp" && scheme !== "tcp+tls") {
    throw invalidParameter(`unsupported scheme: '${scheme}'`);
  }
  return { type: scheme, ...(splitHostPort(host) ?? { host: host.replace(/^\[(.*)\]$/, "$1"), port: "514" }) };
}

function parseFacility(text: string): number {
  if (text === "") return 3 << 3;
  const number = text === "-" ? -1 : FACILITIES.indexOf(text);
  if (number >= 0) return number << 3;
  if (/^[+-]?\d{1,9}$/.test(text) && Number(text) >= 0 && Number(text) <= 23) return Number(text) << 3;
  throw invalidParameter("invalid syslog facility");
}
