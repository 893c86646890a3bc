const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/** A size in units of 1000, with at most so many significant digits: `1.98MB`. */
export function humanSize(bytes: number, precision = 4): string {
  return scaled(bytes, 1000, DECIMAL, precision);
}

/** A size in units of 1024, with at most four significant digits: `1.944GiB`. */
export function binarySize(bytes: number): string {
  return scaled(bytes, 1024, BINARY, 4);
}

/** How long something lasted, in words: `About a minute`, `3 hours`, `2 weeks`. Milliseconds in. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(ms / 60_000);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const exact = ms / 3_600_000;
  const hours = Math.trunc(exact + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(exact / 24 / 365)} years`;
}

/** Go's `%.<precision>g`. */
export function significant(value: number, precision: number): string {
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(precision - 1).split("e")[1]);
  if (exponent < -4 || exponent >= precision) {
    const [mantissa = "", power = "0"] = value.toExponential(precision - 1).split("e");
    const digits = Number(power);
    return `${trimZeros(mantissa)}e${digits < 0 ? "-" : "+"}${String(Math.abs(digits)).padStart(2, "0")}`;
  }
  return trimZeros(value.toFixed(Math.max(0, precision - 1 - exponent)));
}

/** Go's `time.Time.String()` in the local zone, for seconds since 1970: `2006-01-02 15:04:05 -0700 MST`. */
export function goTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (n: number) => String(Math.trunc(n)).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time} ${offset(date, "")} ${zoneName(date)}`;
}

/** RFC 3339 in the local zone with the second's fraction in nine digits: how events are printed. */
export function rfc3339Nano(nanoseconds: bigint): string {
  const date = new Date(Number(nanoseconds / 1_000_000n));
  const two = (n: number) => String(n).padStart(2, "0");
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, "0");
  const zone = date.getTimezoneOffset() === 0 ? "Z" : offset(date, ":");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${fraction}${zone}`;
}

/** RFC 3339 in the local zone, to the second. */
export function rfc3339(seconds: number): string {
  const text = rfc3339Nano(BigInt(Math.trunc(seconds)) * 1_000_000_000n);
  return text.replace(/\.\d{9}/, "");
}

function offset(date: Date, separator: string): string {
  const minutes = -date.getTimezoneOffset();
  const two = (n: number) => String(Math.trunc(n)).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}${separator}${two(Math.abs(minutes) % 60)}`;
}

function zoneName(date: Date): string {
  if (date.getTimezoneOffset() === 0) return "UTC";
  const part = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" })
    .formatToParts(date)
    .find(({ type }) => type === "timeZoneName")?.value;
  return part?.startsWith("GMT") ? offset(date, "").replace(/00$/, "") : (part ?? "UTC");
}

function scaled(value: number, base: number, units: string[], precision: number): string {
  let size = value;
  let unit = 0;
  while (size >= base && unit < units.length - 1) {
    size /= base;
    unit++;
  }
  return `${significant(size, precision)}${units[unit]}`;
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
