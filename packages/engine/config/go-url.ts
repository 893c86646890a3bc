import { invalidParameter } from "@gantry/spec";

/** The parts of a URL that log options are made of. */
export interface GoUrl {
  /** In lower case; "" for none. */
  scheme: string;
  /** As written, with its port. */
  host: string;
  path: string;
}

/** Reads a URL as Go's net/url does. Throws invalidParameter in its words. */
export function parseGoUrl(text: string): GoUrl {
  const fail = (why: string) => invalidParameter(`parse ${JSON.stringify(text)}: ${why}`);
  if (/[\u0000-\u001f\u007f]/.test(text)) throw fail("net/url: invalid control character in URL");
  const [, scheme = "", afterScheme = ""] = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?([^#]*)/.exec(text) ?? [];
  if (scheme === "" && text.startsWith(":")) throw fail("missing protocol scheme");
  const rest = afterScheme.split("?", 1)[0] as string;
  if (!rest.startsWith("//")) {
    if (scheme === "" && (rest.split("/", 1)[0] as string).includes(":")) {
      throw fail("first path segment in URL cannot contain colon");
    }
    return { scheme: scheme.toLowerCase(), host: "", path: rest.startsWith("/") || scheme === "" ? rest : "" };
  }
  const slash = rest.indexOf("/", 2);
  const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  let port = host.slice(Math.max(0, host.lastIndexOf(":")));
  if (host.startsWith("[")) {
    const close = host.lastIndexOf("]");
    if (close < 0) throw fail("missing ']' in host");
    port = host.slice(close + 1);
  } else if (!host.includes(":")) port = "";
  if (!/^(:\d*)?$/.test(port)) throw fail(`invalid port ${JSON.stringify(port)} after host`);
  return { scheme: scheme.toLowerCase(), host, path: slash < 0 ? "" : rest.slice(slash) };
}

/** "host:port" in two, as Go's net.SplitHostPort; null where no port is there. Throws invalidParameter. */
export function splitHostPort(text: string): { host: string; port: string } | null {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null)
    return bracketed[2] === undefined ? null : { host: bracketed[1] as string, port: bracketed[2] };
  const colon = text.lastIndexOf(":");
  if (colon < 0) return null;
  if (text.indexOf(":") !== colon) throw invalidParameter(`address ${text}: too many colons in address`);
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}
