import type { LinuxDeviceCgroup } from "@gantry/spec";
import { describe, devicePolicy, parseDevicesList } from "./devices.ts";
import { readText, refused, writeLines } from "./file.ts";

function write(file: string, lines: string[]): void {
  try {
    writeLines(file, lines);
  } catch (error) {
    throw refused(file, lines.join("; "), error);
  }
}

/**
 * Brings a v1 devices cgroup to what the rules come to. One in use keeps what it may throughout: only the difference is
 * written, what is allowed anew first. The kernel takes one exception per write, and no more of them than needed.
 */
export function setDevicesV1(directory: string, rules: readonly LinuxDeviceCgroup[], fresh: boolean): void {
  const policy = devicePolicy(rules);
  const wanted = policy.exceptions.map(describe);
  const allow = `${directory}/devices.allow`;
  const deny = `${directory}/devices.deny`;
  const current = fresh ? null : parseDevicesList(readText(`${directory}/devices.list`));
  if (policy.allowByDefault) {
    write(allow, ["a"]);
    write(deny, wanted);
  } else if (current) {
    write(
      allow,
      wanted.filter((line) => !current.includes(line)),
    );
    write(
      deny,
      current.filter((line) => !wanted.includes(line)),
    );
  } else {
    write(deny, ["a"]);
    write(allow, wanted);
  }
}
