import type { ContainerConfig, HostConfig, LinuxCapabilities, OciProcess, OciRlimit, OciUser } from "@gantry/spec";

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The five sets: what a container has, it has as root; for others only across exec of privileged files. */
export function capabilities(set: string[], uid: number): LinuxCapabilities {
  return uid === 0 ? { bounding: set, effective: set, permitted: set } : { bounding: set };
}

/** Environment of the first process: Docker's own, then of its links, then the container's, the later one of two winning. */
export function containerEnv(config: ContainerConfig, hostname: string, home: string, links: string[] = []): string[] {
  const base = [DEFAULT_PATH, `HOSTNAME=${hostname}`];
  if (config.Tty === true) base.push("TERM=xterm");
  const env = mergeEnv([...base, ...links], config.Env ?? []);
  if (!env.some((entry) => entry.startsWith("HOME="))) env.push(`HOME=${home}`);
  return env;
}

/** Appends or replaces by name; an entry without "=" removes the name. */
export function mergeEnv(base: string[], extra: string[]): string[] {
  const result = new Map<string, string>();
  for (const entry of base) result.set(nameOf(entry), entry);
  for (const entry of extra) {
    const name = nameOf(entry);
    if (!entry.includes("=")) result.delete(name);
    else result.set(name, entry);
  }
  return [...result.values()];
}

function nameOf(entry: string): string {
  const equals = entry.indexOf("=");
  return equals < 0 ? entry : entry.slice(0, equals);
}

export interface ProcessInputs {
  config: ContainerConfig;
  host: HostConfig;
  args: string[];
  user: OciUser;
  home: string;
  hostname: string;
  /** Variables about linked containers. */
  links: string[];
  capabilities: string[];
  noNewPrivileges: boolean;
  /** AppArmor profile; "" for none. */
  apparmor: string;
  rlimits: OciRlimit[];
}

export function containerProcess(inputs: ProcessInputs): OciProcess {
  const { config, host } = inputs;
  const process: OciProcess = {
    terminal: config.Tty === true,
    cwd: config.WorkingDir || "/",
    env: containerEnv(config, inputs.hostname, inputs.home, inputs.links),
    args: inputs.args,
    user: inputs.user,
    capabilities: capabilities(inputs.capabilities, inputs.user.uid),
    noNewPrivileges: inputs.noNewPrivileges,
  };
  if (inputs.apparmor) process.apparmorProfile = inputs.apparmor;
  if (inputs.rlimits.length > 0) process.rlimits = inputs.rlimits;
  if (host.OomScoreAdj) process.oomScoreAdj = host.OomScoreAdj;
  const [height, width] = host.ConsoleSize ?? [];
  if (config.Tty === true && height && width) process.consoleSize = { height, width };
  return process;
}
