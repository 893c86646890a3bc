import { randomBytes } from "node:crypto";

/** One line of a container's log, or a part of one that was longer than 16 KiB or had no end. */
export interface LogMessage {
  stderr: boolean;
  /** Without its newline. */
  line: string;
  /** RFC 3339 with up to nine digits, UTC. */
  time: string;
  /** The same in seconds since 1970 and nanoseconds. */
  seconds: number;
  nanoseconds: number;
  partial: Partial | null;
}

/** What ties the parts of a line together. */
export interface Partial {
  /** 64 hex digits. */
  id: string;
  /** From 1. */
  ordinal: number;
  last: boolean;
}

/** A line that has begun: of each stream, the id of its parts, how many there were, and the time that all of them bear. */
export interface Begun {
  stdout?: { id: string; parts: number; time: string };
  stderr?: { id: string; parts: number; time: string };
}

const FRAME = /","stream":"std(out|err)"(?:,"attrs":\{.*\})?,"time":"([^"]{20,35})"\}$/;
const NEWLINE = "\\n";

let second = "";
let secondValue = 0;

/**
 * Reads whole lines as the shim writes them (see LogTarget). What is none is passed over. `begun` is what was open before
 * them, and is changed to what is open after.
 */
export function parseMessages(text: string, begun: Begun): LogMessage[] {
  const messages: LogMessage[] = [];
  for (let at = 0; at < text.length; ) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    const message = parseMessage(text.slice(at, end), begun);
    if (message !== null) messages.push(message);
    at = end + 1;
  }
  return messages;
}

function parseMessage(text: string, begun: Begun): LogMessage | null {
  if (!text.startsWith('{"log":"')) return null;
  // The frame is short; the search for it does not go through the line.
  const from = Math.max(8, text.length - 80);
  const frame = FRAME.exec(text.slice(from)) ?? FRAME.exec(text.slice(8));
  if (frame === null) return null;
  let body = text.slice(8, text.length - frame[0].length);
  const whole = body.endsWith(NEWLINE) && !endsInBackslash(body, body.length - NEWLINE.length);
  if (whole) body = body.slice(0, -NEWLINE.length);
  if (body.includes("\\")) {
    try {
      body = JSON.parse(`"${body}"`);
    } catch {
      return null;
    }
  }
  const stderr = frame[1] === "err";
  const time = frame[2] as string;
  if (!time.startsWith(second) || second === "") {
    second = time.slice(0, 19);
    secondValue = Date.parse(`${second}Z`) / 1000;
    if (Number.isNaN(secondValue)) {
      second = "";
      return null;
    }
  }
  return {
    stderr,
    line: body,
    time,
    seconds: secondValue,
    nanoseconds: time[19] === "." ? Number(time.slice(20, -1).padEnd(9, "0")) : 0,
    partial: partialOf(begun, stderr ? "stderr" : "stdout", time, whole),
  };
}

/** Whether the character at `at` is itself escaped: an odd number of backslashes before it. */
function endsInBackslash(text: string, at: number): boolean {
  let count = 0;
  while (text[at - 1 - count] === "\\") count++;
  return count % 2 === 1;
}

/** The same text with memory of its own: a part of a text keeps the whole of it. */
export const ownText = (text: string): string => Buffer.from(text).toString();

function partialOf(begun: Begun, stream: keyof Begun, time: string, whole: boolean): Partial | null {
  let open = begun[stream];
  // A container that ended within a line begins another when it runs again.
  if (open !== undefined && open.time !== time) open = undefined;
  if (whole) {
    delete begun[stream];
    return open === undefined ? null : { id: open.id, ordinal: open.parts + 1, last: true };
  }
  open ??= { id: randomBytes(32).toString("hex"), parts: 0, time: ownText(time) };
  begun[stream] = { ...open, parts: open.parts + 1 };
  return { id: open.id, ordinal: open.parts + 1, last: false };
}
