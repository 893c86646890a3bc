import type { ContainerConfig, HealthcheckConfig, HostConfig } from "@gantry/spec";

/** A configuration with every field that inspect shows, Go's zero values included. */
export function fullConfig(config: ContainerConfig): ContainerConfig {
  return {
    Hostname: config.Hostname ?? "",
    Domainname: config.Domainname ?? "",
    User: config.User ?? "",
    AttachStdin: config.AttachStdin ?? false,
    AttachStdout: config.AttachStdout ?? false,
    AttachStderr: config.AttachStderr ?? false,
    ...(Object.keys(config.ExposedPorts ?? {}).length > 0 ? { ExposedPorts: config.ExposedPorts } : {}),
    Tty: config.Tty ?? false,
    OpenStdin: config.OpenStdin ?? false,
    StdinOnce: config.StdinOnce ?? false,
    Env: config.Env ?? null,
    Cmd: config.Cmd ?? null,
    ...(config.Healthcheck ? { Healthcheck: healthcheck(config.Healthcheck) } : {}),
    ...(config.ArgsEscaped === true ? { ArgsEscaped: true } : {}),
    Image: config.Image ?? "",
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? "",
    Entrypoint: config.Entrypoint ?? null,
    ...(config.NetworkDisabled === true ? { NetworkDisabled: true } : {}),
    ...(config.MacAddress ? { MacAddress: config.MacAddress } : {}),
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? {},
    ...(config.StopSignal ? { StopSignal: config.StopSignal } : {}),
    ...(config.StopTimeout === null || config.StopTimeout === undefined ? {} : { StopTimeout: config.StopTimeout }),
    ...(config.Shell?.length ? { Shell: config.Shell } : {}),
  };
}

function healthcheck({ Test, ...rest }: HealthcheckConfig): HealthcheckConfig {
  return Test?.length ? { Test, ...rest } : rest;
}

/** A map of a configuration where there is something in it. */
function full<K extends string>(key: K, map: Record<string, string> | null | undefined): { [P in K]?: typeof map } {
  return (Object.keys(map ?? {}).length > 0 ? { [key]: map } : {}) as { [P in K]?: typeof map };
}

/** The same of what concerns the host. */
export function fullHostConfig(host: HostConfig): HostConfig {
  return {
    Binds: host.Binds ?? null,
    ContainerIDFile: host.ContainerIDFile ?? "",
    LogConfig: { Type: host.LogConfig?.Type ?? "", Config: host.LogConfig?.Config ?? {} },
    NetworkMode: host.NetworkMode ?? "",
    PortBindings: host.PortBindings ?? null,
    RestartPolicy: host.RestartPolicy ?? { Name: "no", MaximumRetryCount: 0 },
    AutoRemove: host.AutoRemove ?? false,
    VolumeDriver: host.VolumeDriver ?? "",
    VolumesFrom: host.VolumesFrom ?? null,
    ConsoleSize: host.ConsoleSize ?? [0, 0],
    ...full("Annotations", host.Annotations),
    CapAdd: host.CapAdd ?? null,
    CapDrop: host.CapDrop ?? null,
    CgroupnsMode: host.CgroupnsMode ?? "",
    Dns: host.Dns ?? null,
    DnsOptions: host.DnsOptions ?? null,
    DnsSearch: host.DnsSearch ?? null,
    ExtraHosts: host.ExtraHosts ?? null,
    GroupAdd: host.GroupAdd ?? null,
    IpcMode: host.IpcMode ?? "",
    Cgroup: host.Cgroup ?? "",
    OomScoreAdj: host.OomScoreAdj ?? 0,
    PidMode: host.PidMode ?? "",
    Privileged: host.Privileged ?? false,
    PublishAllPorts: host.PublishAllPorts ?? false,
    ReadonlyRootfs: host.ReadonlyRootfs ?? false,
    SecurityOpt: host.SecurityOpt ?? null,
    ...full("StorageOpt", host.StorageOpt),
    ...full("Tmpfs", host.Tmpfs),
    UTSMode: host.UTSMode ?? "",
    UsernsMode: host.UsernsMode ?? "",
    ShmSize: host.ShmSize ?? 0,
    ...full("Sysctls", host.Sysctls),
    Runtime: host.Runtime ?? "",
    Isolation: host.Isolation ?? "",
    CpuShares: host.CpuShares ?? 0,
    Memory: host.Memory ?? 0,
    NanoCpus: host.NanoCpus ?? 0,
    CgroupParent: host.CgroupParent ?? "",
    BlkioWeight: host.BlkioWeight ?? 0,
    BlkioWeightDevice: host.BlkioWeightDevice ?? null,
    BlkioDeviceReadBps: host.BlkioDeviceReadBps ?? null,
    BlkioDeviceWriteBps: host.BlkioDeviceWriteBps ?? null,
    BlkioDeviceReadIOps: host.BlkioDeviceReadIOps ?? null,
    BlkioDeviceWriteIOps: host.BlkioDeviceWriteIOps ?? null,
    CpuPeriod: host.CpuPeriod ?? 0,
    CpuQuota: host.CpuQuota ?? 0,
    CpuRealtimePeriod: host.CpuRealtimePeriod ?? 0,
    CpuRealtimeRuntime: host.CpuRealtimeRuntime ?? 0,
    CpusetCpus: host.CpusetCpus ?? "",
    CpusetMems: host.CpusetMems ?? "",
    Devices:
      host.Devices?.map(({ PathOnHost, PathInContainer, CgroupPermissions }) => ({
        PathOnHost: PathOnHost ?? "",
        PathInContainer: PathInContainer ?? "",
        CgroupPermissions: CgroupPermissions ?? "",
      })) ?? null,
    DeviceCgroupRules: host.DeviceCgroupRules ?? null,
    DeviceRequests:
      host.DeviceRequests?.map(({ Driver, Count, DeviceIDs, Capabilities, Options }) => ({
        Driver: Driver ?? "",
        Count: Count ?? 0,
        DeviceIDs: DeviceIDs ?? null,
        Capabilities: Capabilities ?? null,
        Options: Options ?? null,
      })) ?? null,
    ...(host.KernelMemory ? { KernelMemory: host.KernelMemory } : {}),
    ...(host.KernelMemoryTCP ? { KernelMemoryTCP: host.KernelMemoryTCP } : {}),
    MemoryReservation: host.MemoryReservation ?? 0,
    MemorySwap: host.MemorySwap ?? 0,
    MemorySwappiness: host.MemorySwappiness ?? null,
    OomKillDisable: host.OomKillDisable ?? null,
    PidsLimit: host.PidsLimit ?? null,
    Ulimits:
      host.Ulimits?.map(({ Name, Soft, Hard }) => ({ Name: Name ?? "", Hard: Hard ?? 0, Soft: Soft ?? 0 })) ?? null,
    CpuCount: host.CpuCount ?? 0,
    CpuPercent: host.CpuPercent ?? 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...(host.Mounts?.length ? { Mounts: host.Mounts } : {}),
    MaskedPaths: host.MaskedPaths ?? null,
    ReadonlyPaths: host.ReadonlyPaths ?? null,
    ...(host.Init === null || host.Init === undefined ? {} : { Init: host.Init }),
  };
}
