import type { DeviceRequest, Mount, ThrottleDevice, Ulimit, WeightDevice } from "@gantry/spec";
import { bool, type FlagValues, int, list, str, value } from "../flags.ts";
import { contentTrustFlag } from "./content-trust.ts";
import { checkDevice, checkDeviceRule, parseGpus, parseRateDevice, parseUlimit, parseWeightDevice } from "./devices.ts";
import { checkEnv, checkLabel } from "./env.ts";
import { parseMount } from "./mounts.ts";
import { type NetworkOption, parseNetwork } from "./networks.ts";
import { isAddress } from "./ports.ts";
import { parseCpus, parseDuration, parseSize, parseSwapSize } from "./sizes.ts";

const bytes = (help: string, short = "") => value(short, help, { type: "bytes", initial: 0, parse: parseSize });
const duration = (help: string) => value("", help, { type: "duration", initial: 0, shown: "0s", parse: parseDuration });
const rates = (help: string, inBytes: boolean) =>
  value<ThrottleDevice[]>("", help, { type: "list", initial: [], shown: "[]", parse: parseRateDevice(inBytes) });
const map = (help: string, check?: (text: string) => string) =>
  list("", help, { type: "map", shown: "map[]", ...(check ? { check } : {}) });

/** The options that describe a container, for `run` and `create`. */
export const containerFlags = {
  "add-host": list("", "Add a name to the hosts file (name:ip)", { check: checkHost }),
  annotation: map("Add an annotation (given to the OCI runtime)"),
  attach: list("a", "Attach to STDIN, STDOUT or STDERR", { check: checkStream }),
  "blkio-weight": int("", "Relative weight of block IO, 10 to 1000, or 0 to disable", 0, {
    type: "uint16",
    shown: "0",
  }),
  "blkio-weight-device": value<WeightDevice[]>("", "Relative weight of block IO for one device", {
    type: "list",
    initial: [],
    shown: "[]",
    parse: parseWeightDevice,
  }),
  "cap-add": list("", "Add Linux capabilities"),
  "cap-drop": list("", "Drop Linux capabilities"),
  "cgroup-parent": str("", "Parent cgroup of the container's"),
  cgroupns: str("", "Cgroup namespace to use (host|private); empty as the engine is configured"),
  cidfile: str("", "Write the container's ID to a file"),
  "cpu-count": int("", "Number of CPUs (Windows only)", 0, { hidden: true }),
  "cpu-percent": int("", "Percentage of CPU (Windows only)", 0, { hidden: true }),
  "cpu-period": int("", "Period of the CPU quota, in microseconds"),
  "cpu-quota": int("", "CPU time in each period, in microseconds"),
  "cpu-rt-period": int("", "Period of the real-time quota, in microseconds"),
  "cpu-rt-runtime": int("", "Real-time CPU time in each period, in microseconds"),
  "cpu-shares": int("c", "Relative weight of CPU"),
  cpus: value("", "Number of CPUs", { type: "decimal", initial: 0, parse: parseCpus }),
  "cpuset-cpus": str("", "CPUs to run on (0-3, 0,1)"),
  "cpuset-mems": str("", "Memory nodes to use (0-3, 0,1)"),
  device: list("", "Add a device of the host", { check: checkDevice }),
  "device-cgroup-rule": list("", "Add a rule to the list of allowed devices", { check: checkDeviceRule }),
  "device-read-bps": rates("Limit reading from a device (bytes a second)", true),
  "device-read-iops": rates("Limit reading from a device (operations a second)", false),
  "device-write-bps": rates("Limit writing to a device (bytes a second)", true),
  "device-write-iops": rates("Limit writing to a device (operations a second)", false),
  "disable-content-trust": contentTrustFlag("Skip image verification"),
  dns: list("", "Set DNS servers", { check: checkAddress }),
  "dns-opt": list("", "Set DNS options", { hidden: true }),
  "dns-option": list("", "Set DNS options"),
  "dns-search": list("", "Set DNS search domains"),
  domainname: str("", "NIS domain name of the container"),
  entrypoint: str("", "Replace the image's entrypoint"),
  env: list("e", "Set environment variables", { check: checkEnv }),
  "env-file": list("", "Read environment variables from a file"),
  expose: list("", "Expose a port or a range of ports"),
  gpus: value<DeviceRequest[]>("", "GPUs to add ('all' for all of them)", {
    type: "gpu-request",
    initial: [],
    parse: parseGpus,
  }),
  "group-add": list("", "Add supplementary groups"),
  "health-cmd": str("", "Command that checks the health"),
  "health-interval": duration("Time between two checks (ms|s|m|h)"),
  "health-retries": int("", "Failures in a row that make unhealthy"),
  "health-start-interval": duration("Time between two checks during the start period (ms|s|m|h)"),
  "health-start-period": duration("Time to start up in which failures do not count (ms|s|m|h)"),
  "health-timeout": duration("Longest time that one check may take (ms|s|m|h)"),
  hostname: str("h", "Host name of the container"),
  init: bool("", "Run an init that forwards signals and reaps processes"),
  interactive: bool("i", "Keep STDIN open even if not attached"),
  "io-maxbandwidth": value("", "Most IO bandwidth (Windows only)", {
    type: "bytes",
    initial: 0,
    parse: parseSize,
    hidden: true,
  }),
  "io-maxiops": int("", "Most IO operations (Windows only)", 0, { type: "uint", hidden: true }),
  ip: str("", "IPv4 address (e.g., 172.30.100.104)"),
  ip6: str("", "IPv6 address (e.g., 2001:db8::33)"),
  ipc: str("", "IPC mode to use"),
  isolation: str("", "Isolation technology"),
  "kernel-memory": bytes("Limit of kernel memory"),
  label: list("l", "Set labels on the container", { check: checkLabel }),
  "label-file": list("", "Read labels from a file"),
  link: list("", "Link to another container"),
  "link-local-ip": list("", "Link-local addresses of the container", { check: checkAddress }),
  "log-driver": str("", "Log driver of the container"),
  "log-opt": list("", "Options of the log driver"),
  "mac-address": str("", "MAC address (e.g., 92:d0:c6:0a:29:33)"),
  memory: bytes("Limit of memory", "m"),
  "memory-reservation": bytes("Soft limit of memory"),
  "memory-swap": value("", "Limit of memory plus swap: '-1' for unlimited swap", {
    type: "bytes",
    initial: 0,
    parse: parseSwapSize,
  }),
  "memory-swappiness": int("", "How readily memory is swapped out (0 to 100)", -1),
  mount: value<Mount[]>("", "Mount a filesystem in the container", {
    type: "mount",
    initial: [],
    parse: (text, before) => [...before, parseMount(text)],
  }),
  name: str("", "Name of the container"),
  net: value<NetworkOption[]>("", "", { type: "network", initial: [], parse: parseNetwork, hidden: true }),
  "net-alias": list("", "", { hidden: true }),
  network: value<NetworkOption[]>("", "Connect the container to a network", {
    type: "network",
    initial: [],
    parse: parseNetwork,
  }),
  "network-alias": list("", "Add a name for the container on its network"),
  "no-healthcheck": bool("", "Disable the image's health check"),
  "oom-kill-disable": bool("", "Never kill for lack of memory"),
  "oom-score-adj": int("", "How readily the kernel kills for lack of memory (-1000 to 1000)"),
  pid: str("", "PID namespace to use"),
  "pids-limit": int("", "Limit of processes (-1 for unlimited)"),
  platform: str("", "Platform of the image, where it has several"),
  privileged: bool("", "Give extended privileges to the container"),
  publish: list("p", "Publish ports of the container on the host"),
  "publish-all": bool("P", "Publish all exposed ports on random ports"),
  pull: str("", 'When to pull the image ("always", "missing", "never")', "missing"),
  quiet: bool("q", "Do not show the progress of a pull"),
  "read-only": bool("", "Mount the root filesystem read-only"),
  restart: str("", "When to start the container again after its end", "no"),
  rm: bool("", "Remove the container and its anonymous volumes after its end"),
  runtime: str("", "Runtime to use for this container"),
  "security-opt": list("", "Security options"),
  "shm-size": bytes("Size of /dev/shm"),
  "stop-signal": str("", "Signal that stops the container"),
  "stop-timeout": int("", "Seconds to wait before a stop kills"),
  "storage-opt": list("", "Options of the storage driver"),
  sysctl: map("Kernel parameters of the container", checkSysctl),
  tmpfs: list("", "Mount a tmpfs on a directory"),
  tty: bool("t", "Give the container a terminal"),
  ulimit: value<Ulimit[]>("", "Limits of the processes", {
    type: "ulimit",
    initial: [],
    shown: "[]",
    parse: parseUlimit,
  }),
  user: str("u", "User by name or number (format: <name|uid>[:<group|gid>])"),
  userns: str("", "User namespace to use"),
  uts: str("", "UTS namespace to use"),
  volume: list("v", "Mount a directory of the host or a volume"),
  "volume-driver": str("", "Driver of the container's volumes"),
  "volumes-from": list("", "Mount the volumes of other containers"),
  workdir: str("w", "Working directory in the container"),
};

export type ContainerFlags = FlagValues<typeof containerFlags>;

function checkStream(text: string): string {
  const name = text.toLowerCase();
  if (!["stdin", "stdout", "stderr"].includes(name)) throw new Error("valid streams are STDIN, STDOUT and STDERR");
  return name;
}

function checkAddress(text: string): string {
  if (!isAddress(text.trim())) throw new Error(`IP address is not correctly formatted: ${text}`);
  return text.trim();
}

function checkHost(text: string): string {
  const equals = text.indexOf("=");
  const cut = equals >= 0 ? equals : text.indexOf(":");
  if (cut <= 0) throw new Error(`bad format for add-host: ${JSON.stringify(text)}`);
  const address = text.slice(cut + 1);
  const bare = address.startsWith("[") && address.endsWith("]") ? address.slice(1, -1) : address;
  if (bare !== "host-gateway" && !isAddress(bare))
    throw new Error(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  return `${text.slice(0, cut)}:${bare}`;
}

function checkSysctl(text: string): string {
  const name = text.split("=")[0]!;
  if (!text.includes("=")) throw new Error(`sysctl '${text}' is not allowed`);
  const known = new Set(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced".split(
      " ",
    ),
  );
  if (!known.has(name) && !name.startsWith("net.") && !name.startsWith("fs.mqueue."))
    throw new Error(`sysctl '${text}' is not allowed`);
  return text;
}
