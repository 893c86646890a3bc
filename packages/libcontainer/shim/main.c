/* gantry-shim, started by ../runtime/spawn.ts: the plan is descriptor 3, the listening socket 4. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

#define PLAN_FD 3
#define SOCKET_FD 4

/* The command line runtime passes descriptors on to the container: the plan then comes after them. */
static int plan_fd = PLAN_FD;

static struct source signals;

static void signal_ready(struct source *s, uint32_t events) {
  struct signalfd_siginfo info[16];
  (void)events;
  while (read(s->fd, info, sizeof info) > 0) {
  }
  reap_children();
}

static bool watch_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_SETMASK, &set, NULL);
  for (int s = 1; s < 32; s++)
    if (s != SIGCHLD) signal(s, s == SIGPIPE || s == SIGHUP || s == SIGINT || s == SIGQUIT || s == SIGTERM || s == SIGTSTP ? SIG_IGN : SIG_DFL);
  signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  signals.ready = signal_ready;
  return source_watch(&signals, EPOLLIN);
}

static bool load_plan(void) {
  struct stat st;
  if (fstat(plan_fd, &st) < 0 || st.st_size <= 0 || st.st_size > PLAN_MAX) return false;
  shim.plan_length = (size_t)st.st_size;
  shim.plan_data = mmap(NULL, shim.plan_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (shim.plan_data == MAP_FAILED) return false;
  /* read, not mapped: nobody may change it under us */
  size_t done = 0;
  while (done < shim.plan_length) {
    ssize_t n = pread(plan_fd, (char *)shim.plan_data + done, shim.plan_length - done, (off_t)done);
    if (n <= 0) return false;
    done += (size_t)n;
  }
  close(plan_fd);
  return parse_plan(&shim.plan, shim.plan_data, shim.plan_length);
}

static const char *keep(const char *text) {
  char *copy = strdup(text ? text : "");
  return copy ? copy : "";
}

/* Once init runs, only a few words of the plan are needed any more. */
void release_plan(void) {
  if (!shim.plan_data || shim.plan.nhooks || shim.plan.external) return;
  shim.plan.keyring = keep(shim.plan.keyring);
  shim.plan.cgroup_dir = keep(shim.plan.cgroup_dir);
  for (unsigned i = 0; i < shim.plan.nprocs; i++) shim.plan.procs[i] = keep(shim.plan.procs[i]);
  struct process_plan *process = &shim.plan.process, kept = {0};
  kept.seccomp_flags = process->seccomp_flags;
  kept.seccomp_listener = keep(process->seccomp_listener);
  kept.seccomp_metadata = keep(process->seccomp_metadata);
  kept.has_personality = process->has_personality;
  kept.personality = process->personality;
  if (process->seccomp_length) {
    uint8_t *filter = malloc(process->seccomp_length);
    if (!filter) return; /* then all of it stays */
    memcpy(filter, process->seccomp, process->seccomp_length);
    kept.seccomp = filter;
    kept.seccomp_length = process->seccomp_length;
  }
  free(process->argv);
  if (process->envc) free(process->envp);
  *process = kept;
  shim.plan.rootfs = NULL;
  shim.plan.rootfs_length = 0;
  munmap(shim.plan_data, shim.plan_length);
  shim.plan_data = NULL;
}

static bool begin(char *error, size_t size) {
  struct plan *plan = &shim.plan;
  struct task_process *p = &shim.init;
  process_init(p, "");
  p->is_init = true;
  p->terminal = plan->flags & CFG_TERMINAL;
  p->open_stdin = plan->flags & CFG_OPEN_STDIN;
  p->stdin_once = plan->flags & CFG_STDIN_ONCE;
  shim.log.fd = -1;
  if (plan->exit_file) shim.exit_file = strdup(plan->exit_file);
  if (plan->has_log && !log_open(&shim.log, plan->log_path, plan->log_attrs, plan->log_max_size, plan->log_max_file))
    return snprintf(error, size, "error opening log file \"%s\": %s", plan->log_path, error_text(errno)), false;
  oom_watch(plan);
  struct stdio_pair io;
  if (!make_stdio(&io, p->terminal, p->open_stdin)) return snprintf(error, size, "pipe: %s", error_text(errno)), false;
  int sync = -1;
  p->pid = plan->external ? external_create(plan, &io, error, size) : spawn_init(plan, &io, &sync, error, size);
  if (p->pid < 0) {
    p->pid = 0;
    return false;
  }
  process_adopt_stdio(p, &io);
  if (plan->external) {
    p->ready = true;
    if (p->terminal && (plan->rows || plan->columns)) process_resize(p, plan->rows, plan->columns);
    return true;
  }
  if (p->terminal) p->out[0].ended = false; /* until the terminal came */
  process_watch_sync(p, sync);
  return true;
}

static void turn(void) {
  struct epoll_event events[32];
  int n = epoll_wait(loop_fd, events, 32, next_deadline());
  for (int i = 0; i < n; i++) {
    struct source *s = events[i].data.ptr;
    if (s->fd >= 0) s->ready(s, events[i].events);
  }
  run_deadlines();
  log_flush(&shim.log);
  sweep_connections();
  sweep_processes();
}

int main(int argc, char **argv) {
  const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
  if (name && !strcmp(name, "/docker-init")) return container_init(argc, argv);
  if (argc > 1) plan_fd = atoi(argv[1]);
  prctl(PR_SET_NAME, "gantry-shim", 0, 0, 0); /* started by descriptor, it would be named by that number */
  /* not for the container's eyes, whatever namespaces it shares with us */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (!load_plan()) {
    static const char text[] = "gantry-shim: no valid plan; this program is started by gantry\n";
    write_all(2, text, sizeof text - 1);
    return 125;
  }
  if (shim.plan.oci) return oci_main(&shim.plan, plan_fd + 1);
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (sys_close_range(SOCKET_FD + 1, ~0u, 0) < 0)
    for (int fd = SOCKET_FD + 1; fd < 1024; fd++) close(fd);
  fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (null > 2) close(null);
  if (chdir("/") < 0 || !loop_init() || !watch_signals()) return 125;
  struct sync_message m = {.exit_code = 125};
  if (!begin(m.text, sizeof m.text)) {
    shim.init.failed = true;
    shim.init.start_error = m;
    shim.init.state = PROC_STOPPED;
    shim.init.exit_code = 125;
    shim.init.reported = true;
  }
  if (!server_listen(SOCKET_FD)) return 125;
  while (!shim.quit || connections_busy()) turn();
  return 0;
}
