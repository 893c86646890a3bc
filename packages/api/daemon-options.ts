/** How an option's value is written: as a flag, and in daemon.json. */
export type OptionKind =
  | "string"
  | "bool"
  | "int"
  | "list"
  | "map"
  | "pools"
  | "runtimes"
  | "ulimits"
  | "object"
  | "opts";

export interface DaemonOption {
  /** Flag without dashes; "" where only daemon.json has it. */
  flag: string;
  /** Key in daemon.json; "" where only the flag exists. */
  key: string;
  kind: OptionKind;
  short?: string;
  /** dockerd knows it, here it has no meaning: taken and told in a warning. */
  ignored?: true;
  /** dockerd knows it, but pretending would be dangerous: refused (unless false or empty). */
  refused?: true;
}

const both = (name: string, kind: OptionKind, more: Partial<DaemonOption> = {}): DaemonOption => ({
  flag: name,
  key: name,
  kind,
  ...more,
});
const list = (
  flag: string,
  key: string,
  kind: OptionKind = "list",
  more: Partial<DaemonOption> = {},
): DaemonOption => ({ flag, key, kind, ...more });

/** dockerd's options (28.x), by flag and by daemon.json key. */
export const DAEMON_OPTIONS: DaemonOption[] = [
  list("host", "hosts", "list", { short: "H" }),
  both("data-root", "string"),
  both("exec-root", "string"),
  both("pidfile", "string", { short: "p" }),
  both("group", "string", { short: "G" }),
  both("debug", "bool", { short: "D" }),
  both("log-level", "string", { short: "l" }),
  both("log-format", "string", { ignored: true }),
  both("raw-logs", "bool", { ignored: true }),
  { flag: "config-file", key: "", kind: "string" },
  { flag: "validate", key: "", kind: "bool" },
  { flag: "version", key: "", kind: "bool", short: "v" },
  both("tls", "bool"),
  both("tlsverify", "bool"),
  both("tlscacert", "string"),
  both("tlscert", "string"),
  both("tlskey", "string"),

  both("default-runtime", "string"),
  list("add-runtime", "runtimes", "runtimes"),
  both("live-restore", "bool"),
  both("shutdown-timeout", "int"),
  both("log-driver", "string"),
  list("log-opt", "log-opts", "map"),
  both("cgroup-parent", "string"),
  both("default-cgroupns-mode", "string"),
  both("default-ipc-mode", "string"),
  both("default-shm-size", "string"),
  list("default-ulimit", "default-ulimits", "ulimits"),
  both("init", "bool"),
  both("init-path", "string"),
  both("seccomp-profile", "string"),
  both("no-new-privileges", "bool"),
  both("oom-score-adjust", "int", { ignored: true }),
  list("exec-opt", "exec-opts", "list"),
  both("storage-driver", "string", { short: "s" }),
  list("storage-opt", "storage-opts", "list", { refused: true }),
  list("label", "labels"),
  both("experimental", "bool"),
  list("feature", "features", "object", { ignored: true }),

  both("bridge", "string", { short: "b" }),
  both("bip", "string"),
  both("bip6", "string"),
  both("fixed-cidr", "string"),
  both("fixed-cidr-v6", "string"),
  both("default-gateway", "string"),
  both("default-gateway-v6", "string"),
  list("default-address-pool", "default-address-pools", "pools"),
  list("default-network-opt", "default-network-opts", "opts"),
  both("mtu", "int"),
  both("icc", "bool"),
  both("ip", "string"),
  both("ip-forward", "bool"),
  both("ip-forward-no-drop", "bool"),
  both("ip-masq", "bool"),
  both("iptables", "bool"),
  both("ip6tables", "bool"),
  both("ipv6", "bool"),
  both("userland-proxy", "bool"),
  both("userland-proxy-path", "string", { ignored: true }),
  both("allow-direct-routing", "bool"),
  both("bridge-accept-fwmark", "string", { refused: true }),
  both("firewall-backend", "string"),
  list("host-gateway-ip", "host-gateway-ips"),
  both("dns", "list"),
  list("dns-opt", "dns-opts"),
  both("dns-search", "list"),
  both("network-control-plane-mtu", "int", { ignored: true }),

  list("insecure-registry", "insecure-registries"),
  list("registry-mirror", "registry-mirrors"),
  list("allow-nondistributable-artifacts", "allow-nondistributable-artifacts"),
  both("max-concurrent-downloads", "int"),
  both("max-concurrent-uploads", "int"),
  both("max-download-attempts", "int"),
  { flag: "", key: "registries", kind: "object" },
  { flag: "", key: "proxies", kind: "object" },
  both("http-proxy", "string"),
  both("https-proxy", "string"),
  both("no-proxy", "string"),
  { flag: "", key: "builder", kind: "object", ignored: true },

  both("containerd", "string", { ignored: true }),
  both("containerd-namespace", "string", { ignored: true }),
  both("containerd-plugins-namespace", "string", { ignored: true }),
  both("cri-containerd", "bool", { ignored: true }),
  list("cdi-spec-dir", "cdi-spec-dirs", "list", { ignored: true }),
  both("metrics-addr", "string", { refused: true }),
  both("min-api-version", "string", { ignored: true }),
  both("cpu-rt-period", "int", { refused: true }),
  both("cpu-rt-runtime", "int", { refused: true }),
  list("authorization-plugin", "authorization-plugins", "list", { refused: true }),
  both("selinux-enabled", "bool", { refused: true }),
  both("userns-remap", "string", { refused: true }),
  both("rootless", "bool", { refused: true }),
  list("node-generic-resource", "node-generic-resources", "list", { refused: true }),
  both("swarm-default-advertise-addr", "string", { ignored: true }),
];
