import { readdirSync, readFileSync } from "node:fs";
import { arch, availableParallelism, hostname, release, totalmem } from "node:os";
import { logDrivers } from "@gantry/engine";
import { hostAppArmor } from "@gantry/libcontainer";
import type { SystemInfo } from "@gantry/spec";
import { statfs } from "@gantry/sys";
import type { ApiParts } from "../server.ts";
import { VERSION } from "../version.ts";

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function osRelease(): { name: string; version: string } {
  const text = read("/etc/os-release");
  const field = (key: string) => new RegExp(`^${key}="?([^"\\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  return { name: field("PRETTY_NAME") || "Linux", version: field("VERSION_ID") };
}

const FILE_SYSTEMS: Record<number, string> = {
  61267: "extfs",
  1481003842: "xfs",
  2435016766: "btrfs",
  16914836: "tmpfs",
  2035054128: "overlayfs",
  801189825: "zfs",
};

/** Name of the file system at a path, as Docker has them. */
function fileSystem(path: string): string {
  return FILE_SYSTEMS[statfs(path).type] ?? "<unknown>";
}

/** The answer of GET /info. */
export async function systemInfo({ engine, images, config }: ApiParts): Promise<SystemInfo> {
  const containers = engine.containers.all();
  const count = (...statuses: string[]) => containers.filter(({ state }) => statuses.includes(state.status)).length;
  const system = osRelease();
  const v2 = engine.cgroupV2;
  const runtimes: SystemInfo["Runtimes"] = { gantry: { path: "gantry-shim" }, runc: { path: "gantry-shim" } };
  for (const [name, runtime] of Object.entries(engine.config.runtimes)) runtimes[name] = { path: runtime.path };
  void images;
  return {
    ID: engine.id,
    Containers: containers.length,
    ContainersRunning: count("running", "restarting"),
    ContainersPaused: count("paused"),
    ContainersStopped: count("created", "exited", "dead", "removing"),
    Images: engine.storage.images.list().length,
    Driver: engine.storageDriver,
    DriverStatus:
      engine.storageDriver === "overlay2"
        ? [
            ["Backing Filesystem", fileSystem(engine.config.dataRoot)],
            ["Supports d_type", "true"],
            ["Using metacopy", "false"],
            ["Native Overlay Diff", "true"],
            ["userxattr", "false"],
          ]
        : [],
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "ipvlan", "macvlan", "null"],
      Authorization: null,
      Log: logDrivers(),
    },
    MemoryLimit: true,
    SwapLimit: true,
    ...(v2 ? {} : { KernelMemoryTCP: true }),
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: read("/proc/sys/net/ipv4/ip_forward").trim() === "1",
    Debug: engine.config.debug,
    NFd: readdirSync("/proc/self/fd").length,
    OomKillDisable: !v2,
    NGoroutines: 1,
    SystemTime: new Date().toISOString(),
    LoggingDriver: engine.config.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: v2 ? "2" : "1",
    NEventsListener: engine.events.listenerCount,
    KernelVersion: release(),
    OperatingSystem: system.name,
    OSVersion: system.version,
    OSType: "linux",
    Architecture: arch() === "arm64" ? "aarch64" : "x86_64",
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: {
      InsecureRegistryCIDRs: [
        "::1/128",
        "127.0.0.0/8",
        ...engine.config.insecureRegistries.filter((entry) => entry.includes("/")),
      ],
      IndexConfigs: {
        "docker.io": { Name: "docker.io", Mirrors: config.registry.registryMirrors, Secure: true, Official: true },
        ...Object.fromEntries(
          engine.config.insecureRegistries
            .filter((entry) => !entry.includes("/"))
            .map((name) => [name, { Name: name, Mirrors: [], Secure: false, Official: false }]),
        ),
      },
      Mirrors: config.registry.registryMirrors.length > 0 ? config.registry.registryMirrors : null,
    },
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: engine.config.dataRoot,
    HttpProxy: config.proxy.http,
    HttpsProxy: config.proxy.https,
    NoProxy: config.proxy.no,
    Name: hostname(),
    Labels: engine.config.labels,
    ExperimentalBuild: engine.config.experimental,
    ServerVersion: VERSION,
    Runtimes: runtimes,
    DefaultRuntime: engine.config.defaultRuntime,
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: engine.config.liveRestore,
    Isolation: "",
    InitBinary: "docker-init",
    ContainerdCommit: { ID: "" },
    RuncCommit: { ID: "" },
    InitCommit: { ID: "" },
    SecurityOptions: [
      ...(hostAppArmor() === null ? [] : ["name=apparmor"]),
      `name=seccomp,profile=${engine.config.seccompProfile || "builtin"}`,
      ...(v2 ? ["name=cgroupns"] : []),
      ...(engine.config.noNewPrivileges ? ["name=no-new-privileges"] : []),
    ],
    ...(engine.config.defaultAddressPools.length > 0 ? { DefaultAddressPools: engine.config.defaultAddressPools } : {}),
    FirewallBackend: { Driver: "nftables" },
    CDISpecDirs: [],
    Warnings: null,
  };
}
