/* The last part of a process's making: rights are dropped, the executable is looked up, and exec'd. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

void close_from(int first) {
  if (sys_close_range((unsigned)first, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) == 0) return;
  for (int fd = first; fd < 1024; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void close_between(int first, int last) {
  if (first > last || sys_close_range((unsigned)first, (unsigned)last, 0) == 0) return;
  for (int fd = first; fd <= last && fd < 1024; fd++) close(fd);
}

void close_all_but(int first, int a, int b) {
  int low = a < b ? a : b, high = a < b ? b : a;
  if (low >= first) {
    close_between(first, low - 1);
    first = low + 1;
  }
  if (high >= first) {
    close_between(first, high - 1);
    first = high + 1;
  }
  close_between(first, INT_MAX);
}

/* EPERM is what a host without CAP_SYS_RESOURCE answers to a raise: then the process keeps what it inherited, or as
   much of it as may be set. */
static void set_limits(pid_t pid, const struct process_plan *p) {
  for (unsigned i = 0; i < p->nrlimits; i++) {
    const struct rlimit_plan *l = &p->rlimits[i];
    struct rlimit now, want = {l->soft, l->hard};
    if (prlimit(pid, l->resource, &want, NULL) == 0 || errno != EPERM) continue;
    if (prlimit(pid, l->resource, NULL, &now) < 0) continue;
    if (want.rlim_max > now.rlim_max) want.rlim_max = now.rlim_max;
    if (want.rlim_cur > want.rlim_max) want.rlim_cur = want.rlim_max;
    prlimit(pid, l->resource, &want, NULL);
  }
}

/* From outside, with the host's rights: what the process itself was refused in its user namespace. */
void apply_limits(pid_t pid, const struct process_plan *p) {
  set_limits(pid, p);
  if (p->has_oom_score) {
    char path[48], value[16];
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
    snprintf(value, sizeof value, "%d", p->oom_score);
    write_file_at(AT_FDCWD, path, value);
  }
}

static void set_scheduler(const struct process_plan *p) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attr = {sizeof attr,     p->sched_policy,  p->sched_flags,    p->sched_nice,
            p->sched_priority, p->sched_runtime, p->sched_deadline, p->sched_period};
  if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0) fail(errno, "error setting scheduler");
}

/* False where there is no such file. Only proc itself is written to: an image or a volume may have put something else there. */
static bool write_attribute(const char *file, const char *value, const char *failure) {
  int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return false;
  struct statfs fs;
  if (fd < 0 || fstatfs(fd, &fs) < 0) fail(errno, "error opening %s", file);
  if (fs.f_type != PROC_SUPER_MAGIC_) fail(EINVAL, "%s is not of proc", file);
  if (write(fd, value, strlen(value)) < 0) fail(errno, "%s: write %s", failure, file);
  close(fd);
  return true;
}

static void set_profile(const char *profile) {
  static const char failure[] = "unable to apply apparmor profile: apparmor failed to apply profile";
  char text[512];
  if (!profile || !*profile) return;
  if (snprintf(text, sizeof text, "exec %s", profile) >= (int)sizeof text) fail(EINVAL, "apparmor profile's name is too long");
  /* its own file where several modules are stacked */
  if (write_attribute("/proc/self/attr/apparmor/exec", text, failure)) return;
  if (write_attribute("/proc/self/attr/exec", text, failure)) return;
  fail(ENOENT, "unable to apply apparmor profile: /proc/self/attr/exec");
}

static void set_label(const char *label) {
  char failure[512];
  if (!label || !*label) return;
  snprintf(failure, sizeof failure, "error applying label \"%s\"", label);
  if (!write_attribute("/proc/thread-self/attr/exec", label, failure)) fail(ENOENT, "%s", failure);
}

static void drop_bounding(const struct process_plan *p) {
  for (int cap = 0; cap < 64; cap++) {
    if (p->bounding >> cap & 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
      if (errno == EINVAL) return; /* beyond the kernel's last one */
      fail(errno, "error dropping capability %d from the bounding set", cap);
    }
  }
}

static void set_capabilities(const struct process_plan *p) {
  struct cap_header_ header = {CAP_VERSION_3_, 0};
  struct cap_data_ now[2], data[2];
  if (syscall(SYS_capget, &header, now) < 0) fail(errno, "capget");
  /* what we do not have cannot be given; a container in a container gets the rest */
  uint64_t have = now[0].permitted | (uint64_t)now[1].permitted << 32;
  uint64_t permitted = p->permitted & have, effective = p->effective & permitted, inheritable = p->inheritable & have;
  for (int i = 0; i < 2; i++)
    data[i] = (struct cap_data_){(uint32_t)(effective >> 32 * i), (uint32_t)(permitted >> 32 * i),
                                 (uint32_t)(inheritable >> 32 * i)};
  if (syscall(SYS_capset, &header, data) < 0) fail(errno, "error setting capabilities");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int cap = 0; cap < 64; cap++)
    if (p->ambient >> cap & 1 && permitted >> cap & 1 && inheritable >> cap & 1)
      if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0 && errno != EINVAL)
        fail(errno, "error raising ambient capability %d", cap);
}

static void set_user(const struct process_plan *p) {
  gid_t *groups = malloc((p->ngids + 1) * sizeof *groups);
  if (!groups) fail(ENOMEM, "additional groups");
  if (p->ngids) memcpy(groups, p->gids, (size_t)p->ngids * sizeof *groups);
  /* EPERM without any asked for: a user namespace whose setgroups is denied */
  if (setgroups(p->ngids, groups) < 0 && !(errno == EPERM && p->ngids == 0)) fail(errno, "setgroups");
  free(groups);
  /* with CAP_SETGID and CAP_SETUID these set all three ids, and they are the calls that profiles allow */
  if (setgid(p->gid) < 0) fail(errno, "setgid %u", p->gid);
  if (setuid(p->uid) < 0) fail(errno, "setuid %u", p->uid);
}

static void install_filter(const struct process_plan *p) {
  struct sock_fprog_ program = {(unsigned short)(p->seccomp_length / 8), p->seccomp};
  uint32_t flags = p->seccomp_flags;
  if (*p->seccomp_listener) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER_;
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, flags, &program);
  if (result < 0 && errno == EINVAL && flags & ~SECCOMP_FILTER_FLAG_NEW_LISTENER_) /* a flag the kernel lacks */
    result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, flags & SECCOMP_FILTER_FLAG_NEW_LISTENER_, &program);
  if (result < 0) fail(errno, "error installing the seccomp filter");
  if (*p->seccomp_listener) {
    sync_send_fd(child_sync, MSG_LISTENER, (int)result);
    close((int)result);
  }
}

static const char *find_variable(const struct process_plan *p, const char *name) {
  size_t length = strlen(name);
  const char *found = NULL;
  for (uint32_t i = 0; i < p->envc; i++)
    if (!strncmp(p->envp[i], name, length) && p->envp[i][length] == '=') found = p->envp[i] + length + 1;
  return found;
}

/* The home directory of a user id, from the container's own /etc/passwd; "/" where it has no entry. */
static void find_home(uint32_t uid, char *home, size_t size) {
  snprintf(home, size, "/");
  FILE *file = fopen("/etc/passwd", "re");
  if (!file) return;
  char line[1024];
  for (unsigned lines = 0; lines < 100000 && fgets(line, sizeof line, file); lines++) {
    char *field[6] = {line};
    int n = 1;
    for (char *c = line; *c && n < 6; c++)
      if (*c == ':') *c = 0, field[n++] = c + 1;
    if (n < 6 || !isdigit((unsigned char)*field[2]) || strtoul(field[2], NULL, 10) != uid) continue;
    field[5][strcspn(field[5], ":\n")] = 0;
    if (*field[5]) snprintf(home, size, "%s", field[5]);
    break;
  }
  fclose(file);
}

static char **final_environment(const struct process_plan *p) {
  if (find_variable(p, "HOME")) return (char **)p->envp;
  static char home[1100] = "HOME=";
  find_home(p->uid, home + 5, sizeof home - 5);
  char **env = calloc((size_t)p->envc + 2, sizeof *env);
  if (!env) fail(ENOMEM, "environment");
  memcpy(env, p->envp, p->envc * sizeof *env);
  env[p->envc] = home;
  return env;
}

/* By the mode alone: for where a filter knows no faccessat2. */
static bool may_execute(const struct stat *st) {
  uid_t uid = geteuid();
  if (uid == 0) return st->st_mode & 0111;
  if (st->st_uid == uid) return st->st_mode & 0100;
  gid_t groups[256];
  int count = getgroups(256, groups);
  bool member = st->st_gid == getegid();
  for (int i = 0; i < count; i++) member |= groups[i] == st->st_gid;
  return st->st_mode & (member ? 0010 : 0001);
}

static int executable_error(const char *path) {
  struct stat st;
  if (stat(path, &st) < 0) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  /* the raw call: the C library would try to do without it by a helper process */
  if (syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return 0;
  if (errno == ENOSYS || errno == EPERM) return may_execute(&st) ? 0 : EACCES;
  return errno;
}

/* As Go's exec.LookPath, whose words Docker's users know. */
static const char *look_up(const struct process_plan *p) {
  static char found[PATH_MAX];
  const char *name = p->argv[0];
  if (strchr(name, '/')) {
    int error = executable_error(name);
    if (error == ENOENT || error == ENOTDIR)
      fail_code(127, error, "exec: \"%s\": stat %s", name, name);
    if (error == EISDIR) fail_code(126, EACCES, "exec: \"%s\": is a directory", name);
    if (error) fail_code(126, error, "exec: \"%s\"", name);
    return name;
  }
  const char *path = find_variable(p, "PATH");
  while (path && *name) {
    size_t length = strcspn(path, ":");
    if (snprintf(found, sizeof found, "%.*s/%s", length ? (int)length : 1, length ? path : ".", name) <
            (int)sizeof found &&
        executable_error(found) == 0)
      return found;
    path = path[length] ? path + length + 1 : NULL;
  }
  fail_code(127, 0, "exec: \"%s\": executable file not found in $PATH", name);
}

/* Output ends belong to the user, so that it may open /dev/stdout anew. */
static void own_stdio(const struct process_plan *p) {
  struct stat st, null;
  if (stat("/dev/null", &null) < 0) null.st_rdev = 0;
  for (int fd = 0; fd < 3; fd++)
    if (fstat(fd, &st) == 0 && st.st_uid != p->uid && !(S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev))
      if (fchown(fd, p->uid, (gid_t)-1) < 0) continue; /* a read-only or foreign file: as it is */
}

/* Whether it is done: a directory that only the user may enter (FUSE, NFS) is tried again as the user, while in one that the user may
   not enter, as in another's home, it begins all the same. */
static bool enter_directory(const struct process_plan *p, bool again) {
  if (chdir(p->cwd) == 0) return true;
  int error = errno;
  if (error == ENOENT && p->flags & PROC_MKDIR_CWD && !again) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = create_in_root(root, p->cwd, false, 0755);
    close(root);
    if (fd < 0) fail(errno, "mkdir %s", p->cwd);
    close(fd);
    if (chdir(p->cwd) == 0) return true;
    error = errno;
  }
  if (again || error != EACCES)
    fail_code(error == ENOENT || error == ENOTDIR ? 127 : 126, error, "chdir to cwd (\"%s\") set in config.json failed",
              p->cwd);
  return false;
}

_Noreturn void become(const struct process_plan *p, void (*wait_for_start)(void *), void *context) {
  set_profile(p->apparmor);
  set_label(p->selinux);
  if (p->has_personality && personality((unsigned long)p->personality) < 0) fail(errno, "error setting personality");
  if (p->has_scheduler) set_scheduler(p);
  if (p->has_io_priority && syscall(SYS_ioprio_set, 1, 0, p->io_priority) < 0) fail(errno, "error setting I/O priority");
  if (p->affinity_length && syscall(SYS_sched_setaffinity, 0, p->affinity_length, p->affinity) < 0)
    fail(errno, "error setting CPU affinity");
  own_stdio(p);
  bool no_new_privs = p->flags & PROC_NO_NEW_PRIVS;
  /* a filter with a listener is handed over while the shim still listens to us */
  bool late_filter = p->seccomp_length && no_new_privs && !*p->seccomp_listener;
  char **env = final_environment(p);
  if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail(errno, "no_new_privs");
  bool entered = enter_directory(p, false);
  /* a filter needs either no_new_privs or CAP_SYS_ADMIN, which is about to go */
  if (p->seccomp_length && !late_filter) install_filter(p);
  if (p->has_caps) drop_bounding(p);
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) fail(errno, "keepcaps");
  set_limits(0, p); /* while we are of the shim's own user: without CAP_SYS_RESOURCE it may not touch another's */
  set_user(p);
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  if (p->has_caps) set_capabilities(p);
  if (!entered) enter_directory(p, true);
  if (p->umask >= 0) umask((mode_t)p->umask & 0777);
  const char *path = look_up(p);
  wait_for_start(context);
  if (late_filter) install_filter(p);
  execve(path, (char **)p->argv, env);
  int error = errno;
  if (error == ENOEXEC || error == ENOENT) {
    /* found, executable, and still not to be run (a script's interpreter, a foreign architecture): as with Docker
       the container has started, and says so on its standard error */
    char text[PATH_MAX + 64];
    int n = snprintf(text, sizeof text, "exec %s: %s\n", path, error_text(error));
    if (n > 0) write_all(2, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    _exit(255);
  }
  fail_code(error == E2BIG ? 125 : 126, error, "exec %s", path);
}
