/* Tells what a process in a container sees, as lines of `section<TAB>key<TAB>value`. Static, so that an image needs
   nothing but it. Every call it tries is one that a default container is refused, or that changes nothing. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* glibc's strerrorname_np, which musl has not. */
static const char *errno_name(int number) {
  static const struct {
    int number;
    const char *name;
  } names[] = {
#define NAME(name) {name, #name}
      NAME(EPERM),  NAME(ENOENT),  NAME(ESRCH),  NAME(EINTR),  NAME(EIO),     NAME(ENXIO),      NAME(E2BIG),       NAME(ENOEXEC),
      NAME(EBADF),  NAME(ECHILD),  NAME(EAGAIN), NAME(ENOMEM), NAME(EACCES),  NAME(EFAULT),     NAME(ENOTBLK),     NAME(EBUSY),
      NAME(EEXIST), NAME(EXDEV),   NAME(ENODEV), NAME(ENOTDIR), NAME(EISDIR), NAME(EINVAL),     NAME(ENFILE),      NAME(EMFILE),
      NAME(ENOTTY), NAME(ETXTBSY), NAME(EFBIG),  NAME(ENOSPC), NAME(ESPIPE),  NAME(EROFS),      NAME(EMLINK),      NAME(EPIPE),
      NAME(EDOM),   NAME(ERANGE),  NAME(ENOSYS), NAME(ELOOP),  NAME(ENODATA), NAME(EOPNOTSUPP), NAME(EAFNOSUPPORT), NAME(ENOKEY),
      NAME(ENAMETOOLONG), NAME(EPROTONOSUPPORT), NAME(ESOCKTNOSUPPORT), NAME(ENOTEMPTY), NAME(EOVERFLOW), NAME(EUSERS)};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].number == number) return names[i].name;
  static char other[16];
  snprintf(other, sizeof other, "errno %d", number);
  return other;
}

static void say(const char *section, const char *key, const char *value) {
  printf("%s\t", section);
  for (const char *p = key; *p; p++) putchar(*p == '\t' || *p == '\n' ? ' ' : *p);
  putchar('\t');
  for (const char *p = value; *p; p++) {
    if (*p == '\n') fputs("\\n", stdout);
    else putchar(*p == '\t' ? ' ' : *p);
  }
  putchar('\n');
}

static void sayf(const char *section, const char *key, const char *format, ...) {
  char text[4096];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  say(section, key, text);
}

static const char *result_of(long result) { return result < 0 ? errno_name(errno) : "ok"; }

/* First bytes of a file, or the errno's name in angle brackets. */
static const char *content(const char *path) {
  static char text[8192];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (length < 0) snprintf(text, sizeof text, "<%s>", errno_name(errno));
  else text[length] = 0;
  if (fd >= 0) close(fd);
  while (length > 0 && text[length - 1] == '\n') text[--length] = 0;
  return text;
}

/* Lines of a file: `section`, the line's number or its part before a colon, the line. */
static void lines(const char *section, const char *path, bool keyed) {
  FILE *file = fopen(path, "re");
  char *line = NULL;
  size_t size = 0;
  if (!file) return say(section, "-", errno_name(errno));
  for (int number = 0; getline(&line, &size, file) > 0; number++) {
    line[strcspn(line, "\n")] = 0;
    char *colon = keyed ? strchr(line, ':') : NULL, key[16];
    snprintf(key, sizeof key, "%d", number);
    if (colon) *colon++ = 0;
    say(section, colon ? line : key, colon ? colon + strspn(colon, " \t") : line);
  }
  free(line);
  fclose(file);
}

static void node(const char *section, const char *path) {
  struct stat st;
  char target[PATH_MAX] = "";
  if (lstat(path, &st) < 0) return sayf(section, path, "<%s>", errno_name(errno));
  const char *type = S_ISCHR(st.st_mode)    ? "c"
                     : S_ISBLK(st.st_mode)  ? "b"
                     : S_ISDIR(st.st_mode)  ? "d"
                     : S_ISLNK(st.st_mode)  ? "l"
                     : S_ISFIFO(st.st_mode) ? "p"
                     : S_ISSOCK(st.st_mode) ? "s"
                                            : "f";
  if (*type == 'l') {
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length > 0) target[length] = 0;
    return sayf(section, path, "l -> %s", target);
  }
  if (*type == 'c' || *type == 'b') snprintf(target, sizeof target, " %u:%u", major(st.st_rdev), minor(st.st_rdev));
  sayf(section, path, "%s %04o %u:%u%s", type, st.st_mode & 07777, st.st_uid, st.st_gid, target);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Calls `each` with the paths in a directory, sorted. */
static void entries(const char *path, void (*each)(const char *path, const char *name)) {
  DIR *dir = opendir(path);
  char *names[4096], full[PATH_MAX];
  int count = 0;
  if (!dir) return sayf("list", path, "<%s>", errno_name(errno));
  for (struct dirent *e; count < 4096 && (e = readdir(dir));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) names[count++] = strdup(e->d_name);
  closedir(dir);
  qsort(names, count, sizeof *names, by_name);
  for (int i = 0; i < count; i++) {
    snprintf(full, sizeof full, "%s/%s", strcmp(path, "/") ? path : "", names[i]);
    each(full, names[i]);
  }
}

static void each_node(const char *path, const char *name) { (void)name, node("node", path); }
static void each_dev(const char *path, const char *name) {
  struct stat st;
  if (!strncmp(path, "/dev/pts/", 9) && strcmp(name, "ptmx")) return;
  node("dev", path);
  if (!strcmp(path, "/dev/shm") || !strcmp(path, "/dev/mqueue")) return; /* the host's, where that is shared */
  if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) entries(path, each_dev);
}
static void each_process(const char *path, const char *name) {
  char file[PATH_MAX];
  if (*name < '1' || *name > '9') return;
  snprintf(file, sizeof file, "%s/comm", path);
  say("process", name, content(file));
}
static void each_fd(const char *path, const char *name) {
  char target[PATH_MAX];
  ssize_t length = readlink(path, target, sizeof target - 1);
  if (length <= 0) return;
  target[length] = 0;
  if (!strncmp(target, "/proc/", 6)) return; /* the listing's own */
  say("fd", name, target);
}
static void each_interface(const char *path, const char *name) {
  char file[PATH_MAX];
  (void)path;
  struct ifreq request = {0};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", name);
  int up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 ? request.ifr_flags : 0;
  close(fd);
  snprintf(file, sizeof file, "/sys/class/net/%s/mtu", name);
  sayf("interface", name, "%s %s mtu %s", up & IFF_UP ? "up" : "down", up & IFF_LOOPBACK ? "loopback" : "link", content(file));
}

static void identity(void) {
  gid_t groups[64];
  char text[1024] = "", cwd[PATH_MAX];
  int count = getgroups(64, groups);
  for (int i = 0; i < count; i++) snprintf(text + strlen(text), sizeof text - strlen(text), " %u", groups[i]);
  sayf("id", "ids", "uid %u gid %u groups%s", getuid(), getgid(), text);
  mode_t mask = umask(0);
  umask(mask);
  sayf("id", "umask", "%04o", mask);
  sayf("id", "cwd", "%s", getcwd(cwd, sizeof cwd) ? cwd : errno_name(errno));
  sayf("id", "session", "pid %d ppid %d pgrp %d sid %d", getpid(), getppid(), getpgrp(), getsid(0));
  sayf("id", "nice", "%d", getpriority(PRIO_PROCESS, 0));
  sayf("id", "scheduler", "%d", sched_getscheduler(0));
  sayf("id", "securebits", "%d", prctl(PR_GET_SECUREBITS));
  sayf("id", "dumpable", "%d", prctl(PR_GET_DUMPABLE));
  sayf("id", "timerslack", "%d", prctl(PR_GET_TIMERSLACK));
  int signal = 0, reaper = 0;
  prctl(PR_GET_PDEATHSIG, &signal);
  prctl(PR_GET_CHILD_SUBREAPER, &reaper);
  sayf("id", "pdeathsig", "%d", signal);
  sayf("id", "subreaper", "%d", reaper);
  sayf("id", "personality", "%#x", (unsigned)syscall(SYS_personality, 0xffffffff));
  sayf("id", "tty", "stdin %s, controlling %s", isatty(0) ? "tty" : "no tty", result_of(open("/dev/tty", O_RDWR | O_CLOEXEC)));
  struct utsname names;
  uname(&names);
  say("id", "hostname", names.nodename);
  say("id", "domainname", names.domainname);
  for (char **e = environ; *e; e++) {
    char *equals = strchr(*e, '=');
    if (!equals) continue;
    *equals = 0;
    say("env", *e, equals + 1);
  }
}

static void rlimits(void) {
  static const char *names[] = {"CPU",  "FSIZE",  "DATA",    "STACK",  "CORE",       "RSS",      "NPROC", "NOFILE",
                                "MEMLOCK", "AS",  "LOCKS",   "SIGPENDING", "MSGQUEUE", "NICE",  "RTPRIO", "RTTIME"};
  for (int i = 0; i < 16; i++) {
    struct rlimit limit;
    if (getrlimit(i, &limit) == 0) sayf("rlimit", names[i], "%ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
  }
}

static void paths(void) {
  static const char *looked_at[] = {
      "/proc/acpi",        "/proc/asound",       "/proc/bus",          "/proc/fs",           "/proc/interrupts",
      "/proc/irq",         "/proc/kcore",        "/proc/keys",         "/proc/kmsg",         "/proc/latency_stats",
      "/proc/sched_debug", "/proc/scsi",         "/proc/sys",          "/proc/sysrq-trigger", "/proc/timer_list",
      "/proc/timer_stats", "/sys/firmware",      "/sys/devices/virtual/powercap", "/sys/kernel/security", "/sys/fs/cgroup",
      "/sys/devices/system/cpu/cpu0/thermal_throttle"};
  for (size_t i = 0; i < sizeof looked_at / sizeof *looked_at; i++) {
    struct stat st;
    const char *path = looked_at[i];
    if (stat(path, &st) < 0) {
      sayf("path", path, "<%s>", errno_name(errno));
      continue;
    }
    if (S_ISDIR(st.st_mode)) {
      DIR *dir = opendir(path);
      int count = 0;
      while (dir && readdir(dir)) count++;
      sayf("path", path, "directory, %s", !dir ? errno_name(errno) : count > 2 ? "filled" : "empty");
      if (dir) closedir(dir);
    } else if (S_ISCHR(st.st_mode)) sayf("path", path, "device %u:%u", major(st.st_rdev), minor(st.st_rdev));
    else {
      int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
      sayf("path", path, "file, read %s", result_of(fd));
      if (fd >= 0) close(fd);
    }
  }
  static const char *read_out[] = {"/proc/self/oom_score_adj", "/proc/self/loginuid", "/proc/self/uid_map", "/proc/self/gid_map",
                                   "/proc/self/setgroups", "/proc/sys/net/ipv4/ip_unprivileged_port_start",
                                   "/proc/sys/net/ipv4/ping_group_range", "/proc/sys/net/ipv4/ip_forward",
                                   "/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/lo/disable_ipv6",
                                   "/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "/proc/sys/kernel/shmmax", "/etc/hosts", "/etc/resolv.conf"};
  for (size_t i = 0; i < sizeof read_out / sizeof *read_out; i++) say("file", read_out[i], content(read_out[i]));
}

/* The container's own cgroup as it shows in the container; what is not there on this version of cgroups is left out. */
static void limits(void) {
  static const char *files[] = {"memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "memory/memory.soft_limit_in_bytes",
                                "memory/memory.swappiness", "memory/memory.oom_control", "cpu/cpu.shares", "cpu/cpu.cfs_quota_us",
                                "cpu/cpu.cfs_period_us", "cpu/cpu.cfs_burst_us", "cpu/cpu.rt_runtime_us", "cpuset/cpuset.cpus", "cpuset/cpuset.mems",
                                "pids/pids.max", "blkio/blkio.throttle.read_bps_device", "blkio/blkio.throttle.write_bps_device",
                                "blkio/blkio.throttle.read_iops_device", "blkio/blkio.throttle.write_iops_device", "devices/devices.list",
                                "memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "cpuset.cpus", "cpuset.mems", "pids.max", "io.max"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", files[i]);
    if (access(path, F_OK) == 0) say("limit", files[i], content(path));
  }
}

static void writes(void) {
  static const char *written[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward",
                                  "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity",
                                  "/proc/self/oom_score_adj", "/proc/self/attr/current", "/proc/mtrr", "/proc/kcore",
                                  "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_helper",
                                  "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cgroup.procs",
                                  "/sys/power/state", "/sys/class/net/lo/mtu", "/dev/console", "/dev/full", "/dev/fuse",
                                  "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/dev/mqueue", "/new", "/dev/new", "/tmp/new"};
  for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
    int create = strstr(written[i], "/new") ? O_CREAT : 0;
    int fd = open(written[i], O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | create, 0600);
    say("write", written[i], result_of(fd));
    if (fd >= 0) close(fd);
    if (fd >= 0 && create) unlink(written[i]);
  }
}

#include "probe-calls.h"

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "sleep")) {
    signal(SIGCHLD, SIG_IGN); /* nothing is left of what execs leave */
    signal(SIGTERM, _exit);
    return pause();
  }
  /* on the host itself: look, and touch nothing */
  bool host = argc > 1 && !strcmp(argv[1], "host");
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  entries("/proc/self/fd", each_fd);
  lines("status", "/proc/self/status", true);
  lines("mount", "/proc/self/mountinfo", false);
  lines("cgroup", "/proc/self/cgroup", false);
  identity();
  rlimits();
  entries("/", each_node);
  entries("/etc", each_node);
  entries("/dev", each_dev);
  entries("/proc", each_process);
  entries("/sys/class/net", each_interface);
  paths();
  if (!host) limits(), writes(), calls();
  return fflush(stdout) ? 1 : 0;
}
