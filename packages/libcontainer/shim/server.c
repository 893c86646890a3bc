/* The control socket: requests in frames, and attachments, which turn into plain byte streams. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim.h"

/* Requests; twins of ../runtime/protocol.ts. Frame: u32 length of the rest, u32 sequence, u16 operation, u16 flags. */
enum { OP_CREATED = 1, OP_READY, OP_START, OP_WAIT, OP_ATTACH, OP_EXEC, OP_RESIZE, OP_KILL, OP_STATE, OP_REOPEN, OP_QUIT, OP_FORGET };
enum { STATUS_OK, STATUS_ERROR };
#define HEAD 12
#define REQUEST_MAX PLAN_MAX
#define INPUT_CHUNK 65536

#define WANT_STDIN 1u
#define WANT_STDOUT 2u
#define WANT_STDERR 4u

struct buffer {
  uint8_t *data;
  size_t start, length, capacity;
};

struct connection {
  struct source source;
  struct connection *next; /* of all */
  struct connection *next_attached;
  struct task_process *process; /* attached to */
  unsigned want;
  bool input_ended, finished, gone;
  struct buffer in, out;
};

static struct source listener;
static struct connection *connections;
static bool any_gone;

static bool append(struct buffer *b, const void *data, size_t length) {
  if (b->start && b->start == b->length) b->start = b->length = 0;
  if (b->capacity - b->length < length && b->start) {
    memmove(b->data, b->data + b->start, b->length - b->start);
    b->length -= b->start;
    b->start = 0;
  }
  if (b->capacity - b->length < length) {
    size_t want = b->length + length;
    uint8_t *grown = realloc(b->data, want);
    if (!grown) return false;
    b->data = grown;
    b->capacity = want;
  }
  memcpy(b->data + b->length, data, length);
  b->length += length;
  return true;
}

static void clear(struct buffer *b) {
  free(b->data);
  memset(b, 0, sizeof *b);
}

static size_t waiting(const struct buffer *b) { return b->length - b->start; }

static void set_interest(struct connection *c) {
  if (c->gone) return;
  uint32_t events = 0;
  /* an attachment's next input is read when the last was taken */
  if (!c->input_ended && (!c->process || c->finished || !waiting(&c->in))) events |= EPOLLIN;
  if (waiting(&c->out)) events |= EPOLLOUT;
  source_watch(&c->source, events);
}

static void drop(struct connection *c) {
  if (c->gone) return;
  struct task_process *p = c->process;
  c->gone = any_gone = true;
  source_forget(&c->source);
  clear(&c->out);
  clear(&c->in);
  if (p) {
    struct connection **at = &p->attached;
    while (*at && *at != c) at = &(*at)->next_attached;
    if (*at) *at = c->next_attached;
    c->process = NULL;
    process_output_resume(p);
    process_check_done(p);
  }
}

static void forget_waiters(struct waiter *list, const struct connection *c) {
  for (; list; list = list->next)
    if (list->connection == c) list->connection = NULL;
}

/* Frees what was dropped. Only between turns of the loop, where no event can refer to it any more. */
void sweep_connections(void) {
  if (!any_gone) return;
  any_gone = false;
  for (struct connection **at = &connections; *at;) {
    struct connection *c = *at;
    if (!c->gone) {
      at = &c->next;
      continue;
    }
    forget_waiters(shim.init.waiters, c);
    forget_waiters(shim.init.starters, c);
    for (struct task_process *p = shim.execs; p; p = p->next) {
      forget_waiters(p->waiters, c);
      forget_waiters(p->starters, c);
      if (p->owner == c) process_abandon(p);
    }
    *at = c->next;
    free(c);
  }
}

static void flush_out(struct connection *c) {
  while (waiting(&c->out)) {
    ssize_t n = send(c->source.fd, c->out.data + c->out.start, waiting(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      drop(c);
      return;
    }
    c->out.start += (size_t)n;
  }
  clear(&c->out);
}

static void send_bytes(struct connection *c, const void *data, size_t length) {
  if (c->gone) return;
  if (!waiting(&c->out)) {
    ssize_t n;
    do n = send(c->source.fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
      drop(c);
      return;
    }
    if (n > 0) data = (const uint8_t *)data + n, length -= (size_t)n;
  }
  if (length && !append(&c->out, data, length)) {
    drop(c);
    return;
  }
  set_interest(c);
}

void reply(struct connection *c, uint32_t sequence, uint32_t status, const void *body, size_t length) {
  uint8_t frame[2048];
  uint32_t rest = (uint32_t)length + 8;
  if (length > sizeof frame - 12) length = sizeof frame - 12, rest = (uint32_t)length + 8;
  memcpy(frame, &rest, 4);
  memcpy(frame + 4, &sequence, 4);
  memcpy(frame + 8, &status, 4);
  if (length) memcpy(frame + 12, body, length);
  send_bytes(c, frame, length + 12);
}

void reply_error(struct connection *c, uint32_t sequence, int error, unsigned exit_code, const char *text) {
  uint8_t body[1600];
  size_t length = strlen(text);
  if (length > sizeof body - 8) length = sizeof body - 8;
  uint32_t code = exit_code;
  memcpy(body, &error, 4);
  memcpy(body + 4, &code, 4);
  memcpy(body + 8, text, length);
  reply(c, sequence, STATUS_ERROR, body, length + 8);
}

void reply_exit(struct connection *c, uint32_t sequence, struct task_process *p) {
  struct {
    int64_t seconds;
    int32_t nanoseconds, exit_code, signal;
    uint32_t oom;
  } body = {p->exit_seconds, (int32_t)p->exit_nanoseconds, p->exit_code, p->signal, p->is_init && shim.oom_killed};
  reply(c, sequence, STATUS_OK, &body, sizeof body);
}

/* ---- attachments ---- */

bool attachments_pending(struct task_process *p) {
  for (struct connection *c = p->attached; c; c = c->next_attached)
    if (waiting(&c->out)) return true;
  return false;
}

void connection_send_output(struct connection *first, unsigned char stream, uint8_t *framed, size_t length) {
  unsigned want = stream == 2 ? WANT_STDERR : WANT_STDOUT;
  for (struct connection *c = first, *next; c; c = next) {
    next = c->next_attached;
    if (c->want & want) send_bytes(c, framed, length);
  }
}

static void finish(struct connection *c) {
  if (c->gone || c->finished || waiting(&c->out)) return;
  c->finished = true;
  clear(&c->in);
  /* not closed: unread input would turn the peer's end of output into a connection reset */
  shutdown(c->source.fd, SHUT_WR);
  if (c->input_ended)
    drop(c);
  else
    set_interest(c);
}

void connection_output_ended(struct task_process *p) {
  for (struct connection *c = p->attached, *next; c; c = next) {
    next = c->next_attached;
    finish(c);
  }
}

bool input_waiting(struct task_process *p) {
  for (struct connection *c = p->attached; c; c = c->next_attached)
    if (waiting(&c->in)) return true;
  return false;
}

static void input_over(struct connection *c) {
  struct task_process *p = c->process;
  if (p->stdin_once && !p->terminal && c->want & WANT_STDIN) p->close_input = true;
}

/* Writes what waits. A process that has closed its stdin, or has none, swallows everything. */
static void push_input(struct connection *c) {
  struct task_process *p = c->process;
  while (waiting(&c->in)) {
    if (p->input.fd < 0) {
      if (p->state < PROC_RUNNING && p->open_stdin) return; /* its stdin is yet to come */
      break;
    }
    ssize_t n = write(p->input.fd, c->in.data + c->in.start, waiting(&c->in));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      source_forget(&p->input);
      break;
    }
    c->in.start += (size_t)n;
  }
  clear(&c->in);
}

void connection_input_ready(struct task_process *p) {
  for (struct connection *c = p->attached, *next; c; c = next) {
    next = c->next_attached;
    if (!waiting(&c->in)) continue;
    push_input(c);
    if (!waiting(&c->in) && c->input_ended) input_over(c);
    set_interest(c);
  }
}

static void attached_input(struct connection *c) {
  static uint8_t chunk[INPUT_CHUNK];
  struct task_process *p = c->process;
  ssize_t n = recv(c->source.fd, chunk, sizeof chunk, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    c->input_ended = true;
    if (c->finished || n < 0) {
      drop(c);
      return;
    }
    if (!waiting(&c->in)) input_over(c);
  } else if (c->want & WANT_STDIN && !c->finished) {
    size_t done = 0;
    /* straight through where nothing waits in front */
    if (p->input.fd >= 0 && !input_waiting(p)) {
      ssize_t written = write(p->input.fd, chunk, (size_t)n);
      if (written > 0) done = (size_t)written;
      if (written < 0 && errno != EAGAIN && errno != EINTR) source_forget(&p->input);
    }
    if (done < (size_t)n && (p->input.fd >= 0 || (p->state < PROC_RUNNING && p->open_stdin)))
      if (!append(&c->in, chunk + done, (size_t)n - done)) {
        drop(c);
        return;
      }
  }
  process_input_flush(p);
  set_interest(c);
}

static void attach(struct connection *c, uint32_t sequence, struct task_process *p, unsigned want) {
  c->process = p;
  c->want = want;
  c->next_attached = p->attached;
  p->attached = c;
  clear(&c->in);
  int room = 1 << 20; /* takes what the host's limit allows */
  setsockopt(c->source.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  reply(c, sequence, STATUS_OK, NULL, 0);
  bool over = p->out[0].ended && p->out[1].ended && p->state >= PROC_EXITED;
  if (over) finish(c);
}

/* ---- requests ---- */

static void add_waiter(struct connection *c, uint32_t sequence, struct task_process *p) {
  struct waiter *w = p->reported ? NULL : calloc(1, sizeof *w);
  if (!w) {
    reply_exit(c, sequence, p);
    p->told = true;
    return;
  }
  w->connection = c;
  w->sequence = sequence;
  w->next = p->waiters;
  p->waiters = w;
}

static void op_exec(struct connection *c, uint32_t sequence, unsigned flags, const char *id, struct reader *r) {
  if (!*id || strlen(id) > 64 || find_process(id)) {
    reply_error(c, sequence, 0, 0, "exec id is in use");
    return;
  }
  struct task_process *p = malloc(sizeof *p);
  uint16_t rows = get_u16(r), columns = get_u16(r);
  size_t length = r->bad ? 0 : (size_t)(r->end - r->at);
  uint8_t *plan = malloc(length + 1);
  struct process_plan check;
  if (!p || !plan || r->bad) {
    free(p);
    free(plan);
    reply_error(c, sequence, EINVAL, 0, "bad request");
    return;
  }
  memcpy(plan, r->at, length);
  if (!parse_process(&check, plan, length)) {
    free(p);
    free(plan);
    reply_error(c, sequence, EINVAL, 0, "bad process plan");
    return;
  }
  free(check.argv);
  if (check.envc) free(check.envp);
  process_init(p, id);
  p->terminal = flags & CFG_TERMINAL;
  p->open_stdin = flags & CFG_OPEN_STDIN;
  p->stdin_once = true;
  p->rows = rows;
  p->columns = columns;
  p->plan = plan;
  p->plan_length = length;
  p->next = shim.execs;
  shim.execs = p;
  /* answered when it is made: until then its container must not be frozen */
  if (flags & CFG_EARLY) process_prepare(p, c);
  reply(c, sequence, STATUS_OK, NULL, 0);
}

static void op_kill(struct connection *c, uint32_t sequence, struct task_process *p, struct reader *r) {
  int signal_number = (int)get_u32(r);
  /* our own child, not yet reaped: the pid cannot have become another's */
  if (p->pid > 0 && p->state < PROC_EXITED && kill(p->pid, signal_number) < 0 && errno != ESRCH)
    reply_error(c, sequence, errno, 0, error_text(errno));
  else
    reply(c, sequence, STATUS_OK, NULL, 0);
}

static void op_resize(struct connection *c, uint32_t sequence, struct task_process *p, struct reader *r) {
  uint16_t rows = get_u16(r), columns = get_u16(r);
  if (process_resize(p, rows, columns) < 0)
    reply_error(c, sequence, errno, 0, error_text(errno));
  else
    reply(c, sequence, STATUS_OK, NULL, 0);
}

static void op_state(struct connection *c, uint32_t sequence, struct task_process *p) {
  struct {
    uint32_t state;
    int32_t pid;
    uint32_t terminal, ready, start_asked;
  } body = {(uint32_t)p->state, p->pid, p->terminal, p->ready, p->start_asked};
  reply(c, sequence, STATUS_OK, &body, sizeof body);
}

static void op_quit(struct connection *c, uint32_t sequence) {
  if (shim.init.pid > 0 && shim.init.state < PROC_EXITED) {
    reply_error(c, sequence, EBUSY, 0, "container is running");
    return;
  }
  char error[1024];
  run_hooks(&shim.plan, HOOK_POSTSTOP, "stopped", 0, error, sizeof error);
  source_forget(&listener);
  shim.quit = true;
  reply(c, sequence, STATUS_OK, NULL, 0);
}

static void handle(struct connection *c, const uint8_t *frame, size_t length) {
  struct reader r;
  reader_init(&r, frame, length);
  get_u32(&r);
  uint32_t sequence = get_u32(&r);
  unsigned op = get_u16(&r), flags = get_u16(&r);
  const char *id = get_str(&r);
  struct task_process *p = r.bad ? NULL : op == OP_EXEC ? &shim.init : find_process(id);
  if (r.bad) {
    reply_error(c, sequence, EINVAL, 0, "bad request");
    return;
  }
  if (!p) {
    reply_error(c, sequence, ESRCH, 0, "no such process");
    return;
  }
  switch (op) {
    case OP_CREATED:
      if (p->failed && !p->pid) /* what failed later is told to who starts it */
        reply_error(c, sequence, p->start_error.error, p->start_error.exit_code, p->start_error.text);
      else
        reply(c, sequence, STATUS_OK, &p->pid, sizeof p->pid);
      break;
    case OP_START: process_start(p, c, sequence); break;
    case OP_WAIT: add_waiter(c, sequence, p); break;
    case OP_ATTACH: attach(c, sequence, p, flags); break;
    case OP_EXEC: op_exec(c, sequence, flags, id, &r); break;
    case OP_RESIZE: op_resize(c, sequence, p, &r); break;
    case OP_KILL: op_kill(c, sequence, p, &r); break;
    case OP_STATE: op_state(c, sequence, p); break;
    case OP_REOPEN:
      log_reopen(&shim.log);
      reply(c, sequence, STATUS_OK, NULL, 0);
      break;
    case OP_QUIT: op_quit(c, sequence); break;
    case OP_FORGET:
      if (p->is_init || p->attached || p->waiters || p->starters || (p->pid && p->state < PROC_STOPPED)) {
        reply_error(c, sequence, EBUSY, 0, "in use");
        break;
      }
      process_free(p);
      reply(c, sequence, STATUS_OK, NULL, 0);
      break;
    default: reply_error(c, sequence, EINVAL, 0, "unknown request");
  }
}

static void read_requests(struct connection *c) {
  uint8_t chunk[4096];
  ssize_t n = recv(c->source.fd, chunk, sizeof chunk, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 || !append(&c->in, chunk, (size_t)n)) {
    drop(c);
    return;
  }
  while (!c->gone && !c->process && waiting(&c->in) >= HEAD) {
    uint32_t rest;
    memcpy(&rest, c->in.data + c->in.start, 4);
    if (rest < 8 || rest > REQUEST_MAX) {
      drop(c);
      return;
    }
    if (waiting(&c->in) < (size_t)rest + 4) break;
    uint8_t *frame = c->in.data + c->in.start;
    c->in.start += (size_t)rest + 4;
    /* the frame outlives what handling does to the buffer */
    struct buffer held = c->in;
    memset(&c->in, 0, sizeof c->in);
    handle(c, frame, (size_t)rest + 4);
    if (!c->gone && waiting(&held)) append(&c->in, held.data + held.start, waiting(&held));
    free(held.data);
  }
  if (!c->gone && c->process && waiting(&c->in)) { /* input that came with the attach request */
    if (!(c->want & WANT_STDIN)) clear(&c->in);
    process_input_flush(c->process);
  }
  if (!c->gone && !waiting(&c->in)) clear(&c->in);
}

static void connection_ready(struct source *s, uint32_t events) {
  struct connection *c = (struct connection *)s;
  if (events & EPOLLOUT) {
    flush_out(c);
    if (!c->gone && c->process && !waiting(&c->out)) {
      struct task_process *p = c->process;
      bool over = p->out[0].ended && p->out[1].ended;
      if (over) finish(c);
      process_output_resume(p);
      process_check_done(p);
    }
  }
  if (!c->gone && events & EPOLLIN) {
    if (c->process)
      attached_input(c);
    else
      read_requests(c);
  } else if (!c->gone && events & (EPOLLHUP | EPOLLERR)) {
    if (c->process && waiting(&c->in)) {
      /* the peer has gone, its last input has not been taken yet: only its output may be dropped */
      clear(&c->out);
      source_watch(s, 0);
      process_output_resume(c->process);
      return;
    }
    drop(c);
  }
  if (!c->gone) set_interest(c);
}

/* All that wait, for their queue is bounded and a full one refuses. */
static void accept_ready(struct source *s, uint32_t events) {
  (void)events;
  for (int fd; (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
      close(fd);
      return;
    }
    c->source.fd = fd;
    c->source.ready = connection_ready;
    c->next = connections;
    connections = c;
    set_interest(c);
  }
}

/* Whether somebody has not got all of their bytes yet. */
bool connections_busy(void) {
  for (struct connection *c = connections; c; c = c->next)
    if (!c->gone && waiting(&c->out)) return true;
  return false;
}

bool server_listen(int fd) {
  listener.fd = fd;
  listener.ready = accept_ready;
  set_nonblocking(fd);
  return source_watch(&listener, EPOLLIN);
}
