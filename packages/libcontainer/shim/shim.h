/* gantry-shim: one per container. Makes it from a plan, owns its stdio, stays as its parent. */
#ifndef GANTRY_SHIM_H
#define GANTRY_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

/* ---- util.c ---- */
/* The kernel's error in Docker's (Go's) words, lower case. */
const char *error_text(int error);
bool write_all(int fd, const void *data, size_t length);
/* Writes a whole small file (a /proc or cgroup knob). 0 or -errno. */
int write_file_at(int dir, const char *path, const char *text);
size_t read_small_file(const char *path, char *buffer, size_t size);
void set_nonblocking(int fd);
/* RFC 3339 with nanoseconds, trailing zeros of the fraction removed as Go does. At least 36 bytes; gives the length. */
size_t format_time(char *out, int64_t seconds, long nanoseconds);

/* ---- sync.c: messages between the shim and a process it sets up, over a seqpacket pair ---- */
enum { MSG_GO = 1, MSG_MAPS, MSG_HOOKS, MSG_READY, MSG_CONSOLE, MSG_ERROR, MSG_LISTENER };
struct sync_message {
  uint32_t kind;
  int32_t error;     /* errno */
  uint32_t exit_code; /* 125, 126, 127 */
  int32_t value;
  char text[1024];
};
bool sync_send(int fd, uint32_t kind, int32_t value);
/* Bytes and a descriptor in one message. */
bool send_with_fd(int fd, const void *data, size_t length, int pass);
bool sync_send_fd(int fd, uint32_t kind, int pass);
/* Receives one message; `passed` gets a descriptor or -1. Bytes of text, or -1 at the end; -2 where none waits. */
int sync_receive(int fd, struct sync_message *m, int *passed, bool wait);
/* In the child: tells the shim why and exits. The errno's words are added where it is not 0. */
_Noreturn void fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void fail_code(unsigned exit_code, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* In the child: waits for one message of this kind, exits where the shim is gone. */
void await_go(void);
extern int child_sync;

/* ---- path.c ---- */
/* Opens a path inside `root` without ever leaving it. -1 with errno. */
int open_in_root(int root, const char *path, uint64_t flags);
/* The same, making what is missing: directories with 0755, and the last part as a file where `file`. */
int create_in_root(int root, const char *path, bool file, unsigned mode);

/* ---- mount.c ---- */
struct prepared {
  int *fds;
  unsigned count;
};
/* Makes root and bind sources as detached mounts while host privileges are there (before a user namespace). */
void prepare_sources(const struct plan *plan, struct prepared *out);

/* ---- rootfs.c ---- */
void run_rootfs_steps(const struct plan *plan, const struct prepared *prepared, int console_sync);

/* ---- init.c ---- */
int container_init(int argc, char **argv);

/* ---- process.c ---- */
/* Turns the calling process into the user's. `before_exec` runs between the checks and the last drop of rights. */
_Noreturn void become(const struct process_plan *p, void (*wait_for_start)(void *), void *context);
void apply_limits(pid_t pid, const struct process_plan *p);
void close_from(int first);
/* Closes all descriptors from `first` on but two, which may be -1. */
void close_all_but(int first, int a, int b);

/* ---- hooks.c ---- */
/* Runs the hooks of a stage with the state on stdin. False, with text, where one fails. */
bool run_hooks(const struct plan *plan, unsigned stage, const char *status, pid_t pid, char *error, size_t size);
bool has_hooks(const struct plan *plan, unsigned stage);

/* ---- spawn.c ---- */
struct stdio_pair {
  int child[3];  /* the process's ends, -1 where a terminal replaces them */
  int parent[3]; /* ours */
};
bool make_stdio(struct stdio_pair *io, bool terminal, bool open_stdin);
void close_stdio_child(struct stdio_pair *io);
/* Starts init. The shim's end of the sync pair in *sync. -1 with errno. */
pid_t spawn_init(const struct plan *plan, struct stdio_pair *io, int *sync, char *error, size_t size);
/* Starts a process in the namespaces of `init`. */
pid_t spawn_exec(const struct plan *plan, pid_t init, const struct process_plan *process, bool terminal, uint16_t rows,
                 uint16_t columns, struct stdio_pair *io, int *sync, char *error, size_t size);

/* ---- log.c ---- */
struct log_line {
  char *carry; /* start of a line that has no end yet, at most 16 KiB */
  unsigned carried;
  bool partial; /* earlier parts of this line were logged */
  int64_t partial_seconds;
  long partial_nanoseconds;
};
struct log_file {
  int fd;
  char *path, *attrs;
  uint64_t max_size, size;
  uint64_t put_off; /* size at which a rotation that could not be is tried again */
  uint32_t max_file;
};
bool log_open(struct log_file *log, const char *path, const char *attrs, uint64_t max_size, uint32_t max_file);
void log_reopen(struct log_file *log);
void log_output(struct log_file *log, struct log_line *line, bool is_stderr, const uint8_t *data, size_t length);
/* Logs an unfinished last line and writes everything out. */
void log_end(struct log_file *log, struct log_line *line, bool is_stderr);
void log_flush(struct log_file *log);
void log_release(void);

/* ---- loop.c ---- */
struct source {
  void (*ready)(struct source *self, uint32_t events);
  int fd;
  uint32_t events;
};
extern int loop_fd;
bool loop_init(void);
bool source_watch(struct source *s, uint32_t events);
void source_forget(struct source *s);

/* ---- task.c: the processes of a container ---- */
struct connection;
struct output {
  struct source source; /* fd -1 once ended */
  struct task_process *process;
  struct log_line line;
  unsigned char stream; /* 1 stdout, 2 stderr */
  bool ended, blocked;
};
struct waiter {
  struct waiter *next;
  struct connection *connection;
  uint32_t sequence;
};
enum { PROC_CREATED = 1, PROC_STARTING, PROC_RUNNING, PROC_EXITED, PROC_STOPPED };
struct task_process {
  struct task_process *next;
  char id[65];
  bool is_init, terminal, stdin_once, failed, ready, start_asked, reported, told, stalled;
  int state;
  pid_t pid;
  int status; /* of waitpid */
  int64_t exit_seconds;
  long exit_nanoseconds;
  int exit_code, signal;
  int64_t drain_deadline; /* monotonic ms, 0 for none */
  struct source sync;
  struct source input; /* stdin pipe or terminal master, -1 where closed */
  bool close_input;    /* as soon as what waits is written */
  struct output out[2];
  struct connection *attached;
  struct waiter *waiters, *starters;
  struct sync_message start_error;
  /* an exec's plan until it is started */
  uint8_t *plan;
  size_t plan_length;
  uint16_t rows, columns;
  bool open_stdin;
  /* who prepared it before its start; it goes with that connection */
  struct connection *owner;
};
struct shim {
  struct plan plan;
  void *plan_data;
  size_t plan_length;
  struct log_file log;
  struct task_process init;
  struct task_process *execs;
  char *exit_file;
  bool oom_killed;
  bool quit;
};
extern struct shim shim;
void process_init(struct task_process *p, const char *id);
void process_adopt_stdio(struct task_process *p, struct stdio_pair *io);
void process_watch_sync(struct task_process *p, int fd);
struct task_process *find_process(const char *id);
void process_start(struct task_process *p, struct connection *c, uint32_t sequence);
void process_prepare(struct task_process *p, struct connection *owner);
void process_abandon(struct task_process *p);
int process_resize(struct task_process *p, uint16_t rows, uint16_t columns);
void process_check_done(struct task_process *p);
void process_output_resume(struct task_process *p);
void process_input_flush(struct task_process *p);
void process_free(struct task_process *p);
void sweep_processes(void);
void reap_children(void);
void release_plan(void);
int64_t monotonic_ms(void);
int next_deadline(void);
void run_deadlines(void);

/* ---- oom.c ---- */
void oom_watch(const struct plan *plan);
void oom_check(void);

/* ---- server.c: the control socket ---- */
bool server_listen(int fd);
void sweep_connections(void);
bool connections_busy(void);
void reply(struct connection *c, uint32_t sequence, uint32_t status, const void *body, size_t length);
void reply_error(struct connection *c, uint32_t sequence, int error, unsigned exit_code, const char *text);
void reply_exit(struct connection *c, uint32_t sequence, struct task_process *p);
void connection_send_output(struct connection *c, unsigned char stream, uint8_t *framed, size_t length);
bool connection_pending(struct connection *c);
void connection_output_ended(struct task_process *p);
void connection_input_ready(struct task_process *p);
bool input_waiting(struct task_process *p);
bool attachments_pending(struct task_process *p);

/* ---- external.c: another OCI runtime makes the container, we own its stdio and reap it ---- */
pid_t external_create(const struct plan *plan, struct stdio_pair *io, char *error, size_t size);
bool external_start(const struct plan *plan, char *error, size_t size);
/* `command` is the runtime's exec command line; the pid comes by the file that is named after the exec. */
pid_t external_exec(const struct plan *plan, const struct process_plan *command, const char *id, bool terminal,
                    struct stdio_pair *io, char *error, size_t size);

/* ---- pass.c ---- */
bool pass_to_socket(const char *path, int pass, const char *word);
/* Gives the descriptor of init's seccomp filter to the listener that the plan names. */
bool pass_listener(const struct plan *plan, pid_t pid, int listener);

/* ---- oci.c: one-shot modes of the command line runtime ---- */
/* `result` gets the pid, or why there is none. The exit code of this process. */
int oci_main(const struct plan *plan, int result);

#endif
