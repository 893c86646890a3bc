/* Making processes: init in new namespaces, and others that join it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

static int open_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }

static bool pipe_ends(int *ours, int *theirs, bool we_write) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
  *ours = ends[we_write];
  *theirs = ends[!we_write];
  set_nonblocking(*ours);
  return true;
}

bool make_stdio(struct stdio_pair *io, bool terminal, bool open_stdin) {
  for (int i = 0; i < 3; i++) io->child[i] = io->parent[i] = -1;
  if (terminal) return true;
  bool ok = open_stdin ? pipe_ends(&io->parent[0], &io->child[0], true) : (io->child[0] = open_null()) >= 0;
  for (int i = 1; ok && i < 3; i++) {
    ok = pipe_ends(&io->parent[i], &io->child[i], false);
    /* fewer wake-ups at full speed; beyond the user's share of pipe memory it stays at 64 KiB */
    if (ok) fcntl(io->parent[i], F_SETPIPE_SZ, 256 * 1024);
  }
  if (ok) return true;
  int error = errno;
  for (int i = 0; i < 3; i++) {
    if (io->child[i] >= 0) close(io->child[i]);
    if (io->parent[i] >= 0) close(io->parent[i]);
  }
  errno = error;
  return false;
}

void close_stdio_child(struct stdio_pair *io) {
  for (int i = 0; i < 3; i++) {
    if (io->child[i] >= 0) close(io->child[i]);
    io->child[i] = -1;
  }
}

static pid_t raw_clone(uint64_t flags) {
  return (pid_t)syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static bool born_in_cgroup;

static pid_t clone_at(uint64_t flags, const char *dir) {
  int fd = dir && *dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd < 0) return -1;
  struct clone_args_ args = {.flags = flags | CLONE_INTO_CGROUP_, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  int error = errno;
  if (pid == 0)
    born_in_cgroup = true;
  else
    close(fd);
  errno = error;
  return pid;
}

/* A new child born in the cgroup of `dir` (v2), or a plain one, which then has to go there, where that cannot be. */
static pid_t clone_into(uint64_t flags, const char *dir) {
  born_in_cgroup = false;
  pid_t pid = clone_at(flags, dir);
  return pid < 0 ? raw_clone(flags) : pid;
}

/* Where `init` is in the tree that `dir`, its container's cgroup, belongs to: `dir` and what init's path has below. */
static bool cgroup_of(const char *dir, pid_t init, char *out, size_t size) {
  char path[48], text[4096];
  snprintf(path, sizeof path, "/proc/%d/cgroup", init);
  read_small_file(path, text, sizeof text);
  char *line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
  if (!line) return false;
  line = strchr(line, ':') + 2;
  line[strcspn(line, "\n")] = 0;
  size_t have = strlen(dir);
  for (size_t length = strlen(line); length; length--) {
    if (line[length] && line[length] != '/') continue;
    if (have >= length && !memcmp(dir + have - length, line, length))
      return (size_t)snprintf(out, size, "%s%s", dir, line + length) < size;
  }
  return false;
}

/* An exec's: a container that handed controllers down (systemd, Docker inside) has no processes in its own cgroup any
   more and may get none; then the exec goes where init is. */
static pid_t clone_beside(const char *dir, pid_t init) {
  char beside[4200];
  born_in_cgroup = false;
  pid_t pid = clone_at(0, dir);
  if (pid < 0 && errno == EBUSY && cgroup_of(dir, init, beside, sizeof beside)) pid = clone_at(0, beside);
  return pid < 0 ? raw_clone(0) : pid;
}

/* A child starts without our signal settings and without our descriptors. */
static void child_begin(struct stdio_pair *io, int sync) {
  struct sigaction plain = {.sa_handler = SIG_DFL};
  for (int s = 1; s < 65; s++) sigaction(s, &plain, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  child_sync = sync;
  setsid();
  for (int i = 0; io && i < 3; i++)
    if (io->child[i] >= 0 && dup2(io->child[i], i) < 0) fail(errno, "error setting up stdio");
}

/* A process with one thread moves itself without the lock on all forks that moving another takes (an RCU grace
   period, several milliseconds, on v1). */
static void join_cgroups(char *const *files, unsigned count) {
  for (unsigned i = 0; !born_in_cgroup && i < count; i++) {
    int result = write_file_at(AT_FDCWD, files[i], "0");
    if (result < 0) fail(-result, "error joining cgroup %s", files[i]);
  }
}

/* How an intermediate tells its child's pid. Not by the sync pair, where the child may speak first. */
static int pid_pipe[2] = {-1, -1};

static _Noreturn void tell_pid(pid_t pid) {
  int32_t value = pid;
  _exit(write_all(pid_pipe[1], &value, sizeof value) ? 0 : 125);
}

static void join_keyring(const char *name) {
  /* a session keyring of its own; hosts without keys, or with the quota used up, go on without */
  if (*name) syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING_, name);
}

/* Of the command line's containers: `start` writes a byte into it. */
static int start_fifo = -1;

static void await_start(void) {
  char byte;
  if (start_fifo < 0) {
    await_go();
    return;
  }
  /* nobody hears us from here on but the caller's stderr */
  close(child_sync);
  child_sync = -1;
  while (read(start_fifo, &byte, 1) != 1)
    if (errno != EINTR) _exit(125);
  close(start_fifo);
}

static void ready_and_wait(void *context) {
  const struct plan *plan = context;
  if (!sync_send(child_sync, MSG_READY, 0)) _exit(125);
  await_start();
  char error[1024];
  if (plan && !run_hooks(plan, HOOK_START_CONTAINER, "created", getpid(), error, sizeof error)) fail(0, "%s", error);
}

/* For good, not at its exec: as long as it waits for its start it would keep the shim's sockets open, and after the shim's
   end nobody, itself included, would notice that. */
static void close_others(const struct plan *plan) {
  close_all_but(3 + (int)plan->oci_preserve_fds, child_sync, start_fifo);
}

static bool joins_user(const struct plan *plan) {
  for (unsigned i = 0; i < plan->njoins; i++)
    if (plan->joins[i].type == CLONE_NEWUSER) return true;
  return false;
}

static _Noreturn void init_main(const struct plan *plan, const struct prepared *prepared) {
  setsid();
  if (plan->uid_map) await_go(); /* the maps are written */
  if (plan->uid_map || joins_user(plan)) {
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) fail(errno, "error becoming root of the user namespace");
  }
  /* processes of a joined pid namespace must not look into us before exec */
  if (!plan->uid_map && !joins_user(plan)) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  join_keyring(plan->keyring);
  run_rootfs_steps(plan, prepared, plan->flags & CFG_TERMINAL);
  close_others(plan);
  become(&plan->process, ready_and_wait, (void *)plan);
}

/* Joins what exists and makes what does not, then brings forth init as the shim's child and leaves. */
static _Noreturn void staged_main(const struct plan *plan) {
  struct prepared prepared = {NULL, 0};
  bool user = plan->clone_flags & CLONE_NEWUSER || joins_user(plan);
  if (user) prepare_sources(plan, &prepared);
  int fds[8];
  for (unsigned i = 0; i < plan->njoins; i++)
    if ((fds[i] = open(plan->joins[i].path, O_RDONLY | O_CLOEXEC)) < 0)
      fail(errno, "error joining namespace \"%s\"", plan->joins[i].path);
  for (unsigned i = 0; i < plan->njoins; i++)
    if (setns(fds[i], (int)plan->joins[i].type) < 0)
      fail(errno, "error joining namespace \"%s\"", plan->joins[i].path);
  for (unsigned i = 0; i < plan->njoins; i++) close(fds[i]);
  uint64_t flags = plan->clone_flags;
  if (flags & CLONE_NEWTIME) {
    if (unshare(CLONE_NEWTIME) < 0) fail(errno, "error making the time namespace");
    if (plan->time_offsets && *plan->time_offsets) {
      int result = write_file_at(AT_FDCWD, "/proc/self/timens_offsets", plan->time_offsets);
      if (result < 0) fail(-result, "error setting the time namespace's offsets");
    }
    flags &= ~(uint64_t)CLONE_NEWTIME;
  }
  pid_t pid = raw_clone(flags | CLONE_PARENT);
  if (pid < 0) fail(errno, "error making namespaces");
  if (pid == 0) init_main(plan, &prepared);
  tell_pid(pid);
}

/* Waits for the intermediate's word on its child's pid, and reaps it. */
static pid_t await_pid(pid_t stage, int sync, char *error, size_t size) {
  int32_t pid = -1;
  ssize_t n;
  close(pid_pipe[1]);
  while ((n = read(pid_pipe[0], &pid, sizeof pid)) < 0 && errno == EINTR) {
  }
  close(pid_pipe[0]);
  while (waitpid(stage, NULL, 0) < 0 && errno == EINTR) {
  }
  if (n == sizeof pid) return pid;
  struct sync_message m;
  bool told = sync_receive(sync, &m, NULL, false) >= 0 && m.kind == MSG_ERROR;
  snprintf(error, size, "%s", told ? m.text : "error making namespaces: the process died");
  return -1;
}

static bool write_maps(const struct plan *plan, pid_t pid, char *error, size_t size) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
  int result = write_file_at(AT_FDCWD, path, plan->uid_map);
  snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
  if (!result && plan->gid_map) result = write_file_at(AT_FDCWD, path, plan->gid_map);
  if (result < 0) snprintf(error, size, "error writing user namespace maps: %s", error_text(-result));
  return result == 0;
}

static bool make_sync(int pair[2], char *error, size_t size) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) return true;
  snprintf(error, size, "socketpair: %s", error_text(errno));
  return false;
}

pid_t spawn_init(const struct plan *plan, struct stdio_pair *io, int *sync, char *error, size_t size) {
  int pair[2];
  if (!make_sync(pair, error, size)) return -1;
  bool staged = plan->flags & CFG_STAGED;
  if (staged && pipe2(pid_pipe, O_CLOEXEC) < 0) {
    snprintf(error, size, "pipe: %s", error_text(errno));
    close(pair[0]), close(pair[1]);
    return -1;
  }
  pid_t pid = clone_into(staged ? 0 : plan->clone_flags, plan->cgroup_dir);
  if (pid == 0) {
    child_begin(io, pair[1]);
    join_cgroups((char *const *)plan->procs, plan->nprocs);
    if (plan->oci) {
      /* opened for both directions, it does not end while no `start` has come */
      start_fifo = open(plan->oci_fifo, O_RDWR | O_CLOEXEC);
      if (start_fifo < 0) fail(errno, "error opening \"%s\"", plan->oci_fifo);
    }
    if (staged) staged_main(plan);
    init_main(plan, NULL);
  }
  int failure = errno;
  close(pair[1]);
  if (pid < 0) {
    snprintf(error, size, "error making namespaces: %s", error_text(failure));
    if (staged) close(pid_pipe[0]), close(pid_pipe[1]);
  }
  if (pid > 0 && staged) pid = await_pid(pid, pair[0], error, size);
  if (pid > 0) {
    bool ok = !plan->uid_map || (write_maps(plan, pid, error, size) && sync_send(pair[0], MSG_GO, 0));
    if (!ok) {
      struct sync_message m; /* its own word on the matter, where it has one, says more */
      if (sync_receive(pair[0], &m, NULL, false) >= 0 && m.kind == MSG_ERROR) snprintf(error, size, "%s", m.text);
      kill(pid, SIGKILL);
      while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
      }
      pid = -1;
    }
  }
  if (pid < 0) {
    close(pair[0]);
    return -1;
  }
  *sync = pair[0];
  return pid;
}

struct exec_context {
  const struct plan *plan;
  pid_t init;
  const struct process_plan *process;
  bool terminal;
  uint16_t rows, columns;
};

static void exec_terminal(const struct exec_context *c) {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int master = open_in_root(root, "/dev/ptmx", O_RDWR | O_NOCTTY), unlock = 0;
  close(root);
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0) fail(errno, "error opening /dev/ptmx of the container");
  int slave = ioctl(master, TIOCGPTPEER_, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) fail(errno, "error opening the terminal");
  if (c->rows || c->columns) {
    struct winsize size = {.ws_row = c->rows, .ws_col = c->columns};
    ioctl(master, TIOCSWINSZ, &size);
  }
  if (!sync_send_fd(child_sync, MSG_CONSOLE, master)) fail(errno, "error handing the terminal over");
  close(master);
  if (ioctl(slave, TIOCSCTTY, 0) < 0) fail(errno, "error taking the terminal");
  for (int fd = 0; fd < 3; fd++) dup2(slave, fd);
}

static _Noreturn void exec_main(const struct exec_context *c) {
  static const struct {
    int type;
    const char *name;
  } kinds[] = {{CLONE_NEWUSER, "user"},     {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"},
               {CLONE_NEWNET, "net"},       {CLONE_NEWPID, "pid"}, {CLONE_NEWCGROUP, "cgroup"},
               {CLONE_NEWTIME, "time"},     {CLONE_NEWNS, "mnt"}};
  int theirs[8];
  /* nothing in the container may look into us between entering it and exec */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  bool user = false;
  for (int i = 0; i < 8; i++) {
    char path[64], mine[64], its[64];
    snprintf(path, sizeof path, "/proc/%d/ns/%s", c->init, kinds[i].name);
    ssize_t n = readlink(path, its, sizeof its - 1);
    its[n < 0 ? 0 : n] = 0;
    snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
    n = readlink(path, mine, sizeof mine - 1);
    mine[n < 0 ? 0 : n] = 0;
    theirs[i] = -1;
    if (!strcmp(mine, its)) continue;
    snprintf(path, sizeof path, "/proc/%d/ns/%s", c->init, kinds[i].name);
    theirs[i] = open(path, O_RDONLY | O_CLOEXEC);
    if (theirs[i] < 0) fail(errno, "error opening namespace %s of the container", kinds[i].name);
    if (i == 0) user = true;
  }
  for (int i = 0; i < 8; i++)
    if (theirs[i] >= 0 && setns(theirs[i], kinds[i].type) < 0)
      fail(errno, "error joining namespace %s of the container", kinds[i].name);
  pid_t pid = raw_clone(CLONE_PARENT);
  if (pid < 0) fail(errno, "error making the process");
  if (pid > 0) tell_pid(pid);
  setsid(); /* the intermediate leads the session it was born in */
  if (user && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) fail(errno, "error becoming root of the user namespace");
  join_keyring(c->plan->keyring);
  if (c->terminal) exec_terminal(c);
  close_others(c->plan);
  become(c->process, ready_and_wait, NULL);
}

pid_t spawn_exec(const struct plan *plan, pid_t init, const struct process_plan *process, bool terminal, uint16_t rows,
                 uint16_t columns, struct stdio_pair *io, int *sync, char *error, size_t size) {
  int pair[2];
  struct exec_context context = {plan, init, process, terminal, rows, columns};
  if (!make_sync(pair, error, size)) return -1;
  if (pipe2(pid_pipe, O_CLOEXEC) < 0) {
    snprintf(error, size, "pipe: %s", error_text(errno));
    close(pair[0]), close(pair[1]);
    return -1;
  }
  pid_t stage = clone_beside(plan->cgroup_dir, init);
  if (stage == 0) {
    child_begin(io, pair[1]);
    join_cgroups((char *const *)plan->procs, plan->nprocs);
    exec_main(&context);
  }
  int failure = errno;
  close(pair[1]);
  if (stage < 0) {
    snprintf(error, size, "error making the process: %s", error_text(failure));
    close(pid_pipe[0]), close(pid_pipe[1]);
    close(pair[0]);
    return -1;
  }
  pid_t pid = await_pid(stage, pair[0], error, size);
  if (pid < 0) {
    close(pair[0]);
    return -1;
  }
  *sync = pair[0];
  return pid;
}
