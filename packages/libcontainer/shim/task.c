/* The processes of a container, from their start to the last byte of their output. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define HEADER 8
#define CHUNK (256 * 1024)
#define HOLDERS_MS 2000  /* how long somebody else may keep the output open after the process's end */
#define STALLED_MS 10000 /* how long a reader that does not read delays the news of the end */
#define IDLE_MS 300
#define FLOOD (512 * 1024) /* so much without a break of FLOOD_MS is a flood */
#define FLOOD_MS 2
#define GATHER_US 500

struct shim shim;

static uint8_t *chunk; /* HEADER bytes of room before CHUNK bytes of data */
static int64_t chunk_used;

void process_init(struct task_process *p, const char *id) {
  memset(p, 0, sizeof *p);
  snprintf(p->id, sizeof p->id, "%s", id);
  p->state = PROC_CREATED;
  p->sync.fd = p->input.fd = p->out[0].source.fd = p->out[1].source.fd = -1;
  for (int i = 0; i < 2; i++) {
    p->out[i].process = p;
    p->out[i].stream = (unsigned char)(i + 1);
    p->out[i].ended = true;
  }
}

struct task_process *find_process(const char *id) {
  if (!*id) return &shim.init;
  for (struct task_process *p = shim.execs; p; p = p->next)
    if (!strcmp(p->id, id)) return p;
  return NULL;
}

static void output_end(struct output *o) {
  if (o->ended) return;
  source_forget(&o->source);
  o->ended = true;
  if (o->process->is_init && shim.log.path) log_end(&shim.log, &o->line, o->stream == 2);
  if (o->process->out[0].ended && o->process->out[1].ended) {
    connection_output_ended(o->process);
    process_check_done(o->process);
  }
}

/* A program that prints without end mostly does so by 4 KiB. Woken for each, all that follow (log, daemon, client) do so
   little at a time that half of it is the waking; in a flood the pipe is given time to fill. What prints less than FLOOD in
   one go is never delayed. */
static void gather(const struct output *o, size_t n) {
  static int64_t last_read;
  static size_t flood;
  if (chunk_used - last_read > FLOOD_MS) flood = 0;
  last_read = chunk_used;
  flood += n;
  if (flood < FLOOD || n >= CHUNK / 4 || o->process->terminal) return;
  nanosleep(&(struct timespec){.tv_nsec = GATHER_US * 1000}, NULL);
}

static void output_ready(struct source *s, uint32_t events) {
  struct output *o = (struct output *)s;
  struct task_process *p = o->process;
  (void)events;
  if (attachments_pending(p)) { /* a slow reader: leave the bytes in the pipe */
    o->blocked = true;
    source_watch(s, 0);
    return;
  }
  if (!chunk) {
    void *mapped = mmap(NULL, HEADER + CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return;
    chunk = mapped;
  }
  chunk_used = monotonic_ms();
  ssize_t n = read(s->fd, chunk + HEADER, CHUNK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) { /* EIO is a terminal's way of saying that nobody has it open any more */
    output_end(o);
    return;
  }
  if (p->drain_deadline) p->drain_deadline = chunk_used + HOLDERS_MS;
  if (p->is_init && shim.log.path) log_output(&shim.log, &o->line, o->stream == 2, chunk + HEADER, (size_t)n);
  if (p->attached) {
    uint8_t *frame = chunk + HEADER;
    size_t length = (size_t)n;
    if (!p->terminal) {
      frame = chunk;
      length += HEADER;
      memset(frame, 0, HEADER);
      frame[0] = o->stream;
      for (int i = 0; i < 4; i++) frame[4 + i] = (uint8_t)((size_t)n >> (24 - 8 * i));
    }
    connection_send_output(p->attached, o->stream, frame, length);
  }
  gather(o, (size_t)n);
}

void process_output_resume(struct task_process *p) {
  for (int i = 0; i < 2; i++) {
    if (!p->out[i].blocked || p->out[i].ended) continue;
    p->out[i].blocked = false;
    p->stalled = false;
    if (p->drain_deadline) p->drain_deadline = monotonic_ms() + HOLDERS_MS;
    source_watch(&p->out[i].source, EPOLLIN);
  }
}

static void output_adopt(struct output *o, int fd) {
  set_nonblocking(fd);
  o->source.fd = fd;
  o->source.ready = output_ready;
  o->ended = false;
  source_watch(&o->source, EPOLLIN);
}

static void input_ready(struct source *s, uint32_t events) {
  struct task_process *p = (struct task_process *)((char *)s - offsetof(struct task_process, input));
  (void)events;
  process_input_flush(p);
}

void process_input_flush(struct task_process *p) {
  connection_input_ready(p);
  if (p->input.fd < 0) return;
  bool waiting = input_waiting(p);
  if (!waiting && p->close_input)
    source_forget(&p->input);
  else
    source_watch(&p->input, waiting ? EPOLLOUT : 0);
}

static void input_adopt(struct task_process *p, int fd) {
  set_nonblocking(fd);
  p->input.fd = fd;
  p->input.ready = input_ready;
  process_input_flush(p); /* what attached early may have written already */
}

void process_adopt_stdio(struct task_process *p, struct stdio_pair *io) {
  close_stdio_child(io);
  if (io->parent[0] >= 0) input_adopt(p, io->parent[0]);
  for (int i = 0; i < 2; i++)
    if (io->parent[i + 1] >= 0) output_adopt(&p->out[i], io->parent[i + 1]);
}

int process_resize(struct task_process *p, uint16_t rows, uint16_t columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  p->rows = rows;
  p->columns = columns;
  return p->terminal && p->input.fd >= 0 ? ioctl(p->input.fd, TIOCSWINSZ, &size) : 0;
}

static void record_exit(struct task_process *p) {
  char text[256], when[40], temporary[4200];
  if (!p->is_init || !shim.exit_file) return;
  format_time(when, p->exit_seconds, p->exit_nanoseconds);
  char signal_part[32] = "";
  if (p->signal) snprintf(signal_part, sizeof signal_part, "\"signal\":%d,", p->signal);
  int n = snprintf(text, sizeof text, "{\"exitCode\":%d,%s\"oomKilled\":%s,\"exitedAt\":\"%s\"}\n", p->exit_code,
                   signal_part, shim.oom_killed ? "true" : "false", when);
  snprintf(temporary, sizeof temporary, "%s.tmp", shim.exit_file);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  bool ok = write_all(fd, text, (size_t)n);
  close(fd);
  if (!ok || rename(temporary, shim.exit_file) < 0) unlink(temporary);
}

static void answer_starters(struct task_process *p) {
  for (struct waiter *w = p->starters, *next; w; w = next) {
    next = w->next;
    if (w->connection && p->failed)
      reply_error(w->connection, w->sequence, p->start_error.error, p->start_error.exit_code, p->start_error.text);
    else if (w->connection)
      reply(w->connection, w->sequence, 0, &p->pid, sizeof p->pid);
    free(w);
  }
  p->starters = NULL;
}

void process_check_done(struct task_process *p) {
  if (p->state == PROC_EXITED && p->out[0].ended && p->out[1].ended && !attachments_pending(p)) p->state = PROC_STOPPED;
  if (p->state != PROC_STOPPED && !p->reported) return;
  p->drain_deadline = 0;
  p->reported = true;
  for (struct waiter *w = p->waiters, *next; w; w = next) {
    next = w->next;
    if (w->connection) reply_exit(w->connection, w->sequence, p), p->told = true;
    free(w);
  }
  p->waiters = NULL;
}

/* Without a pid namespace of its own, what init leaves behind has to be found by its cgroup. */
static void kill_remaining(void) {
  if (shim.plan.flags & CFG_NEW_PIDNS || !shim.plan.nprocs) return;
  for (int round = 0; round < 50; round++) {
    char text[8192];
    if (!read_small_file(shim.plan.procs[0], text, sizeof text)) return;
    for (char *p = text; *p;) {
      long pid = strtol(p, &p, 10);
      if (pid > 1 && pid != getpid()) kill((pid_t)pid, SIGKILL);
      while (*p && (*p < '0' || *p > '9')) p++;
    }
    usleep(2000);
  }
}

static void process_exited(struct task_process *p, int status) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  p->exit_seconds = now.tv_sec;
  p->exit_nanoseconds = now.tv_nsec;
  p->status = status;
  p->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  p->exit_code = p->signal ? 128 + p->signal : WEXITSTATUS(status);
  /* its last word may still lie in the pair */
  if (p->sync.fd >= 0) p->sync.ready(&p->sync, 0);
  if (p->failed && p->start_error.exit_code) {
    p->exit_code = (int)p->start_error.exit_code;
    p->signal = 0;
  }
  if (p->is_init) {
    oom_check();
    kill_remaining();
  }
  p->state = PROC_EXITED;
  record_exit(p);
  answer_starters(p);
  source_forget(&p->input);
  p->drain_deadline = monotonic_ms() + HOLDERS_MS;
  if (p->terminal && p->out[0].source.fd < 0) p->out[0].ended = true; /* died before it had its terminal */
  if (p->out[0].ended && p->out[1].ended) connection_output_ended(p);
  process_check_done(p);
}

void reap_children(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == shim.init.pid && shim.init.state < PROC_EXITED) {
      process_exited(&shim.init, status);
      continue;
    }
    for (struct task_process *p = shim.execs; p; p = p->next)
      if (p->pid == pid && p->state < PROC_EXITED) {
        process_exited(p, status);
        break;
      }
  }
}

static void process_failed(struct task_process *p, const struct sync_message *m) {
  p->failed = true;
  p->start_error = *m;
  if (!p->start_error.exit_code) p->start_error.exit_code = 125;
}

static void started(struct task_process *p) {
  source_forget(&p->sync);
  if (p->state >= PROC_RUNNING) return;
  if (!p->failed && !p->start_asked) {
    struct sync_message m = {.text = "init died before it was started"};
    p->failed = true;
    p->start_error = m; /* without an exit code: that is told by its end */
  }
  if (p->failed) return; /* its exit is on the way and answers all */
  p->state = PROC_RUNNING;
  if (p->is_init && has_hooks(&shim.plan, HOOK_POSTSTART)) {
    char error[1024];
    run_hooks(&shim.plan, HOOK_POSTSTART, "running", p->pid, error, sizeof error); /* a failing one changes nothing */
  }
  answer_starters(p);
  if (p->is_init) release_plan();
}

static void run_runtime_hooks(struct task_process *p) {
  struct sync_message m = {.exit_code = 125};
  if (run_hooks(&shim.plan, HOOK_PRESTART, "created", p->pid, m.text, sizeof m.text) &&
      run_hooks(&shim.plan, HOOK_CREATE_RUNTIME, "created", p->pid, m.text, sizeof m.text)) {
    sync_send(p->sync.fd, MSG_GO, 0);
    return;
  }
  process_failed(p, &m);
  kill(p->pid, SIGKILL);
}

static void go(struct task_process *p) {
  p->state = PROC_STARTING;
  sync_send(p->sync.fd, MSG_GO, 0);
}

static void sync_ready(struct source *s, uint32_t events) {
  struct task_process *p = (struct task_process *)((char *)s - offsetof(struct task_process, sync));
  (void)events;
  for (;;) {
    struct sync_message m;
    int passed, n = sync_receive(s->fd, &m, &passed, false);
    if (n == -2) return;
    if (n == -1) {
      started(p);
      return;
    }
    if (m.kind == MSG_ERROR) {
      process_failed(p, &m);
    } else if (m.kind == MSG_CONSOLE && passed >= 0 && p->terminal && p->out[0].source.fd < 0) {
      output_adopt(&p->out[0], passed);
      int input = fcntl(passed, F_DUPFD_CLOEXEC, 3);
      if (input >= 0) input_adopt(p, input);
      if (p->rows || p->columns) process_resize(p, p->rows, p->columns); /* asked for before there was one */
      passed = -1;
    } else if (m.kind == MSG_LISTENER && passed >= 0) {
      if (!pass_listener(&shim.plan, p->pid, passed)) {
        struct sync_message failure = {.error = errno, .exit_code = 125, .text = "error handing over the seccomp listener"};
        process_failed(p, &failure);
        kill(p->pid, SIGKILL);
      }
    } else if (m.kind == MSG_HOOKS) {
      run_runtime_hooks(p);
    } else if (m.kind == MSG_READY) {
      p->ready = true;
      if (p->is_init) apply_limits(p->pid, &shim.plan.process);
      if (p->start_asked) go(p);
    }
    if (passed >= 0) close(passed);
  }
}

void process_watch_sync(struct task_process *p, int fd) {
  p->sync.fd = fd;
  p->sync.ready = sync_ready;
  source_watch(&p->sync, EPOLLIN);
}

/* An exec is born when it is started. */
static bool exec_begin(struct task_process *p, char *error, size_t size) {
  struct process_plan plan;
  struct stdio_pair io;
  if (shim.init.state != PROC_RUNNING) return snprintf(error, size, "container is not running"), false;
  if (!parse_process(&plan, p->plan, p->plan_length)) return snprintf(error, size, "bad process plan"), false;
  inherit_process(&plan, &shim.plan.process);
  if (!make_stdio(&io, p->terminal, p->open_stdin)) return snprintf(error, size, "pipe: %s", error_text(errno)), false;
  int sync = -1;
  pid_t pid = shim.plan.external ? external_exec(&shim.plan, &plan, p->id, p->terminal, &io, error, size)
                                 : spawn_exec(&shim.plan, shim.init.pid, &plan, p->terminal, p->rows, p->columns, &io,
                                              &sync, error, size);
  bool ok = pid > 0;
  if (ok) {
    p->pid = pid;
    if (!shim.plan.external) apply_limits(pid, &plan);
  }
  free(plan.argv);
  if (plan.envc) free(plan.envp);
  if (!ok) {
    close_stdio_child(&io);
    for (int i = 0; i < 3; i++)
      if (io.parent[i] >= 0) close(io.parent[i]);
    return false;
  }
  process_adopt_stdio(p, &io);
  if (shim.plan.external) {
    p->state = PROC_RUNNING;
    if (p->rows || p->columns) process_resize(p, p->rows, p->columns);
    answer_starters(p);
    return true;
  }
  if (p->terminal) p->out[0].ended = false; /* until the terminal came */
  process_watch_sync(p, sync);
  return true;
}

static void exec_make(struct task_process *p) {
  struct sync_message m = {.exit_code = 125};
  if (!exec_begin(p, m.text, sizeof m.text)) {
    process_failed(p, &m);
    p->exit_code = 125;
    p->state = PROC_EXITED;
    connection_output_ended(p);
    answer_starters(p);
    process_check_done(p);
  }
  free(p->plan);
  p->plan = NULL;
}

/* Brings an exec to where init is once it is made: it waits for its start. What fails is told to who starts it. */
void process_prepare(struct task_process *p, struct connection *owner) {
  if (shim.plan.external) return;
  p->owner = owner;
  exec_make(p);
}

/* Whoever prepared it is gone; nobody else knows of it. */
void process_abandon(struct task_process *p) {
  p->owner = NULL;
  if (p->start_asked) return;
  p->told = true;
  if (p->pid > 0 && p->state < PROC_EXITED) kill(p->pid, SIGKILL);
}

void process_start(struct task_process *p, struct connection *c, uint32_t sequence) {
  if (p->failed || p->state >= PROC_RUNNING) {
    if (p->failed)
      reply_error(c, sequence, p->start_error.error, p->start_error.exit_code, p->start_error.text);
    else
      reply_error(c, sequence, 0, 0, "already started");
    return;
  }
  struct waiter *w = calloc(1, sizeof *w);
  if (!w) {
    reply_error(c, sequence, ENOMEM, 125, "out of memory");
    return;
  }
  w->connection = c;
  w->sequence = sequence;
  w->next = p->starters;
  p->starters = w;
  bool again = p->start_asked;
  p->start_asked = true;
  if (again) return;
  if (p->is_init && shim.plan.external) {
    struct sync_message m = {.exit_code = 125};
    if (external_start(&shim.plan, m.text, sizeof m.text)) {
      p->state = PROC_RUNNING;
    } else {
      process_failed(p, &m);
      kill(p->pid, SIGKILL);
    }
    if (!p->failed) answer_starters(p);
    return;
  }
  if (!p->is_init && !p->pid) {
    exec_make(p);
    return;
  }
  if (p->ready) go(p);
}

static struct task_process *freed; /* events of this turn may still refer to them */

void process_free(struct task_process *p) {
  struct task_process **at = &shim.execs;
  while (*at && *at != p) at = &(*at)->next;
  if (!*at) return;
  *at = p->next;
  source_forget(&p->sync);
  source_forget(&p->input);
  for (int i = 0; i < 2; i++) source_forget(&p->out[i].source);
  free(p->plan);
  p->next = freed;
  freed = p;
}

/* An exec whose end was told and whose output was fetched is of no more use. */
void sweep_processes(void) {
  for (struct task_process *p = shim.execs, *next; p; p = next) {
    next = p->next;
    if (p->told && p->state == PROC_STOPPED && !p->attached && !p->waiters && !p->starters) process_free(p);
  }
  for (struct task_process *p; (p = freed);) {
    freed = p->next;
    free(p);
  }
}

static int64_t earliest(const struct task_process *p, int64_t end) {
  return p->drain_deadline && (!end || p->drain_deadline < end) ? p->drain_deadline : end;
}

int next_deadline(void) {
  int64_t end = earliest(&shim.init, 0);
  for (struct task_process *p = shim.execs; p; p = p->next) end = earliest(p, end);
  if (chunk && (!end || chunk_used + IDLE_MS < end)) end = chunk_used + IDLE_MS;
  if (!end) return -1;
  int64_t left = end - monotonic_ms();
  return left < 0 ? 0 : (int)left + 1;
}

static void check_deadline(struct task_process *p, int64_t now) {
  if (!p->drain_deadline || p->drain_deadline > now) return;
  if (attachments_pending(p)) {
    if (!p->stalled) {
      p->stalled = true;
      p->drain_deadline = now + STALLED_MS;
      return;
    }
    p->reported = true; /* told, but what waits is kept and still delivered */
  } else {
    for (int i = 0; i < 2; i++) output_end(&p->out[i]);
  }
  process_check_done(p);
}

void run_deadlines(void) {
  int64_t now = monotonic_ms();
  check_deadline(&shim.init, now);
  for (struct task_process *p = shim.execs, *next; p; p = next) {
    next = p->next;
    check_deadline(p, now);
  }
  if (chunk && now - chunk_used >= IDLE_MS) {
    munmap(chunk, HEADER + CHUNK);
    chunk = NULL;
    log_flush(&shim.log); /* held up for so long in the middle of a turn, it has lines still */
    log_release();
  }
}
