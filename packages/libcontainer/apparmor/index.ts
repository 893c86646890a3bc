import { existsSync, readFileSync } from "node:fs";
import { messageOf } from "@gantry/spec";
import { DEFAULT_PROFILE, defaultProfile } from "./profile.ts";

/** Where the host keeps what AppArmor is about; tests have their own. */
export interface AppArmorPlaces {
  /** Mount point of sysfs. */
  sys: string;
  /** The policy's folder, "/etc/apparmor.d" on every distribution. */
  policy: string;
  /** "/proc/self/attr/current". */
  own: string;
  /** Command that compiles a profile and gives it to the kernel, looked up in PATH and the folders for administrators. */
  parser: string;
}

const HOST: AppArmorPlaces = {
  sys: "/sys",
  policy: "/etc/apparmor.d",
  own: "/proc/self/attr/current",
  parser: "apparmor_parser",
};

/** The profile that a process is to be under: "unconfined" when privileged, else what was asked for, else the default one. */
export function profileName(wanted: string, privileged: boolean): string {
  return privileged ? "unconfined" : wanted || DEFAULT_PROFILE;
}

/** AppArmor on this host. */
export class AppArmor {
  /** Set when the default profile could not be loaded: why. Containers then run without one. */
  private failure: string | null = null;

  constructor(private readonly places: AppArmorPlaces) {}

  /** Whether the kernel confines by AppArmor, and this is not the inside of a container (whose policy is the host's affair). */
  static enabled(places: AppArmorPlaces): boolean {
    if (process.env.container || !existsSync(`${places.sys}/kernel/security/apparmor`)) return false;
    return read(`${places.sys}/module/apparmor/parameters/enabled`).startsWith("Y");
  }

  /** Whether the kernel has a profile of this name now. */
  loaded(name: string): boolean {
    // lines of "name (mode)"
    const all = `\n${read(`${this.places.sys}/kernel/security/apparmor/profiles`)}`;
    return all.includes(`\n${name} (`);
  }

  /**
   * What `profileName` says. The default profile is loaded where the kernel has lost it (a reload of the host's policy throws out what
   * is not in its files); "" where that cannot be, as on a host without apparmor_parser; `warn` hears of it once.
   */
  async profile(wanted: string, privileged: boolean, warn: (message: string) => void): Promise<string> {
    const name = profileName(wanted, privileged);
    if (name !== DEFAULT_PROFILE || this.loaded(name)) return name;
    if (this.failure !== null) return "";
    this.failure = await this.load();
    if (this.failure === null) return name;
    warn(`containers run without an AppArmor profile: ${this.failure}`);
    return "";
  }

  /** Null, or why it cannot be. */
  private async load(): Promise<string | null> {
    const text = defaultProfile({
      // "name (mode)", or "unconfined"
      daemon:
        read(this.places.own)
          .replace(/ \([a-z]+\)\s*$/, "")
          .trim() || "unconfined",
      includes: ["tunables/global", "abstractions/base"].filter((name) => existsSync(`${this.places.policy}/${name}`)),
    });
    const parser = Bun.which(this.places.parser, { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
    if (parser === null) return "apparmor_parser is not installed";
    try {
      // -K: no cache of the host's is written, -r: one of this name is replaced
      const child = Bun.spawn([parser, "-Kr"], { stdin: Buffer.from(text), stdout: "ignore", stderr: "pipe" });
      const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
      return code === 0 ? null : `apparmor_parser: ${said.trim() || `exit code ${code}`}`;
    } catch (error) {
      return `apparmor_parser: ${messageOf(error)}`;
    }
  }
}

let host: AppArmor | null | undefined;

/** This host's AppArmor, null where there is none. */
export function hostAppArmor(): AppArmor | null {
  if (host === undefined) host = AppArmor.enabled(HOST) ? new AppArmor(HOST) : null;
  return host;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
