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
  memory: ["-m", "64m", "--memory-reservation", "32m", "--memory-swappiness", "10"],
  "memory-swap": ["-m", "64m", "--memory-swap", "100m", "--oom-kill-disable"],
  "memory-swap-unlimited": ["-m", "64m", "--memory-swap", "-1"],
  cpus: ["--cpus", "0.5", "--cpu-shares", "512"],
  "cpu-quota": ["--cpu-quota", "20000", "--cpu-period", "50000", "--cpuset-cpus", "0", "--cpuset-mems", "0"],
  pids: ["--pids-limit", "50"],
  "pids-unlimited": ["--pids-limit", "-1"],
  "block-io": ["--device-read-bps", "/dev/loop0:1mb", "--device-write-iops", "/dev/loop0:100"],
  environment: ["-e", "A=1", "-e", "PATH=/x", "-e", "HOME=/elsewhere", "-w", "/probe-made"],
};

/** Arguments of `docker update` on a container that runs, seen by an exec in it afterwards. */
export const UPDATES: Record<string, string[]> = {
  "update-memory": ["-m", "80m", "--memory-swap", "90m", "--memory-reservation", "40m"],
  "update-cpus": ["--cpus", "0.7", "--cpu-shares", "300", "--cpuset-cpus", "0"],
  "update-pids": ["--pids-limit", "33"],
  "update-lower": ["-m", "20m", "--memory-swap", "20m", "--memory-reservation", "10m"],
};

/** The same for `docker exec` into a container that sleeps. */
export const EXECS: Record<string, string[]> = {
  exec: [],
  "exec-tty": ["-t"],
  "exec-user": ["--user", "1000:1001"],
  "exec-privileged": ["--privileged"],
  "exec-environment": ["-e", "A=1", "-w", "/etc"],
};
