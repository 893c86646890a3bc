/** How containers are run for comparison: arguments of `docker run` before the image. */
export const VARIANTS: Record<string, string[]> = {
  default: [],
  tty: ["-t"],
  user: ["--user", "1000:1001", "--group-add", "7"],
  "user-name-unknown-home": ["--user", "1000", "-w", "/made/for/it"],
  privileged: ["--privileged"],
  "cap-add-all": ["--cap-add", "ALL"],
  "cap-drop-all": ["--cap-drop", "ALL"],
  "cap-add-sys-admin": ["--cap-add", "SYS_ADMIN"],
  "read-only": ["--read-only"],
  "no-new-privileges": ["--security-opt", "no-new-privileges"],
  "seccomp-unconfined": ["--security-opt", "seccomp=unconfined"],
  "systempaths-unconfined": ["--security-opt", "systempaths=unconfined"],
  "net-none": ["--network", "none"],
  "net-host": ["--network", "host"],
  "ipc-host": ["--ipc", "host"],
  "ipc-none": ["--ipc", "none"],
  "pid-host": ["--pid", "host"],
  "uts-host": ["--uts", "host"],
  "cgroupns-private": ["--cgroupns", "private"],
  init: ["--init"],
  names: ["--hostname", "box", "--domainname", "example.org", "--add-host", "other:192.0.2.7", "--dns", "192.0.2.9"],
  device: ["--device", "/dev/loop-control:/dev/there:r", "--device-cgroup-rule", "c 1:1 rwm"],
  tmpfs: ["--tmpfs", "/tmp", "--tmpfs", "/run:size=4m,mode=0700", "--shm-size", "8m"],
  limits: ["--ulimit", "nofile=512:1024", "--ulimit", "core=0", "--oom-score-adj", "300"],
  sysctl: ["--sysctl", "net.ipv4.ip_unprivileged_port_start=1024", "--sysctl", "kernel.shmmax=4194304"],
  environment: ["-e", "A=1", "-e", "PATH=/x", "-e", "HOME=/elsewhere", "-w", "/probe-made"],
};

/** The same for `docker exec` into a container that sleeps. */
export const EXECS: Record<string, string[]> = {
  exec: [],
  "exec-tty": ["-t"],
  "exec-user": ["--user", "1000:1001"],
  "exec-privileged": ["--privileged"],
  "exec-environment": ["-e", "A=1", "-w", "/etc"],
};
