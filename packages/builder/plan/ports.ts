import { invalidParameter } from "@gantry/spec";

/**
 * What `EXPOSE` words expose, as `port/proto`: "80", "80/udp", "8000-8002"; host parts (`ip:host:port`) are read and
 * mean nothing here. Throws invalidParameter.
 */
export function exposedPorts(words: string[]): string[] {
  return words.flatMap((word) => {
    const container = word.slice(word.lastIndexOf(":") + 1);
    const [range = "", proto = "tcp", ...more] = container.split("/");
    if (range === "") throw invalidParameter(`no port specified: ${word}<empty>`);
    const protocol = proto === "" ? "tcp" : proto.toLowerCase();
    if (more.length > 0 || !["tcp", "udp", "sctp"].includes(protocol)) {
      throw invalidParameter(`Invalid proto: ${[proto, ...more].join("/").toLowerCase()}`);
    }
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (!match || first > 65535 || last > 65535 || first > last) {
      throw invalidParameter(`invalid containerPort: ${range}`);
    }
    return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol}`);
  });
}
