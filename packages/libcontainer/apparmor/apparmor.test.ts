import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppArmor, type AppArmorPlaces } from "./index.ts";
import { defaultProfile } from "./profile.ts";

let base: string;
let places: AppArmorPlaces;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-apparmor-"));
  places = { sys: `${base}/sys`, policy: `${base}/policy`, own: `${base}/own`, parser: `${base}/parser` };
  mkdirSync(`${base}/sys/kernel/security/apparmor`, { recursive: true });
  mkdirSync(`${base}/sys/module/apparmor/parameters`, { recursive: true });
  mkdirSync(`${base}/policy/abstractions`, { recursive: true });
  writeFileSync(`${base}/sys/module/apparmor/parameters/enabled`, "Y\n");
  writeFileSync(`${base}/sys/kernel/security/apparmor/profiles`, "docker-default-2 (enforce)\nnginx (complain)\n");
  writeFileSync(`${base}/policy/abstractions/base`, "");
  writeFileSync(`${base}/own`, "my daemon (enforce)\n");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Stands in for apparmor_parser: keeps what it is given, then does what the line says. */
function parser(line: string): void {
  writeFileSync(`${base}/parser`, `#!/bin/sh\necho "$@" >> ${base}/calls\ncat > ${base}/given\n${line}\n`);
  chmodSync(`${base}/parser`, 0o755);
}

const calls = () => readFileSync(`${base}/calls`, "utf8").split("\n").length - 1;

test("whether the kernel confines by it", () => {
  expect(AppArmor.enabled(places)).toBe(true);
  writeFileSync(`${base}/sys/module/apparmor/parameters/enabled`, "N\n");
  expect(AppArmor.enabled(places)).toBe(false);
  expect(AppArmor.enabled({ ...places, sys: `${base}/other` })).toBe(false);
});

describe("the profile of a process", () => {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  beforeEach(() => void warnings.splice(0));

  test("privileged none, else the one asked for, which nobody loads", async () => {
    const host = new AppArmor(places);
    expect(await host.profile("mine", true, warn)).toBe("unconfined");
    expect(await host.profile("mine", false, warn)).toBe("mine");
    expect(await host.profile("unconfined", false, warn)).toBe("unconfined");
  });

  test("the default one is loaded when the kernel has it not, again when it lost it", async () => {
    const profiles = `${base}/sys/kernel/security/apparmor/profiles`;
    parser(`echo "docker-default (enforce)" >> ${profiles}`);
    const host = new AppArmor(places);
    expect(await host.profile("", false, warn)).toBe("docker-default");
    expect(readFileSync(`${base}/given`, "utf8")).toBe(
      defaultProfile({ daemon: "my daemon", includes: ["abstractions/base"] }),
    );
    expect(readFileSync(`${base}/calls`, "utf8")).toBe("-Kr\n");
    expect(await host.profile("", false, warn)).toBe("docker-default");
    expect(calls()).toBe(1);
    writeFileSync(profiles, "nginx (complain)\n");
    expect(await host.profile("", false, warn)).toBe("docker-default");
    expect(calls()).toBe(2);
    expect(warnings).toEqual([]);
  });

  test("where it cannot be loaded there is none, and that is said once", async () => {
    parser("echo no such luck >&2; exit 1");
    const host = new AppArmor(places);
    expect(await host.profile("", false, warn)).toBe("");
    expect(await host.profile("docker-default", false, warn)).toBe("");
    expect(calls()).toBe(1);
    expect(warnings).toEqual(["containers run without an AppArmor profile: apparmor_parser: no such luck"]);
    rmSync(`${base}/parser`);
    expect(await new AppArmor(places).profile("", false, warn)).toBe("");
    expect(warnings[1]).toEndWith("apparmor_parser is not installed");
  });
});

const compiler = Bun.which("apparmor_parser", { PATH: `${process.env.PATH}:/usr/sbin:/sbin` });

test.skipIf(compiler === null)("apparmor_parser takes the default profile, with and without the host's files", () => {
  for (const inputs of [
    { daemon: "unconfined", includes: [] },
    { daemon: 'a "daemon"', includes: ["tunables/global", "abstractions/base"] },
  ]) {
    // -Q: not into the kernel, -S: the compiled policy on standard output
    const done = Bun.spawnSync([compiler!, "-QKS"], { stdin: Buffer.from(defaultProfile(inputs)) });
    expect(done.exitCode).toBe(0);
    expect(done.stdout.includes("docker-default")).toBe(true);
  }
});
