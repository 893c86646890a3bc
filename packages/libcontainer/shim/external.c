/* An external OCI runtime (runc, crun, …) as the maker of the container. We lend it stdio, take over its orphans as
   their subreaper, and keep the root file system mounted in a mount namespace of our own, unseen by the host. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

#define CONSOLE_MS 5000

static bool mount_root(const struct plan *plan, char *error, size_t size) {
  int pair[2];
  if (unshare(CLONE_NEWNS) < 0) return snprintf(error, size, "unshare: %s", error_text(errno)), false;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return snprintf(error, size, "socketpair: %s", error_text(errno)), false;
  pid_t child = fork();
  if (child == 0) {
    child_sync = pair[1];
    run_rootfs_steps(plan, NULL, 0);
    _exit(0);
  }
  close(pair[1]);
  int status = -1;
  struct sync_message m;
  bool told = sync_receive(pair[0], &m, NULL, true) >= 0 && m.kind == MSG_ERROR;
  close(pair[0]);
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) snprintf(error, size, "%s", told ? m.text : "error mounting the root file system");
  return status == 0;
}

/* Runs one of the runtime's commands to its end. What it says goes to the log file it was told of. */
static bool run_tool(const struct plan *plan, const char **argv, const struct stdio_pair *io, char *error, size_t size) {
  pid_t child = fork();
  if (child < 0) return snprintf(error, size, "fork: %s", error_text(errno)), false;
  if (child == 0) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int s = 1; s < 65; s++) sigaction(s, &plain, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 0; io && i < 3; i++)
      if (io->child[i] >= 0 && dup2(io->child[i], i) < 0) _exit(127);
    close_from(3);
    execve(argv[0], (char **)argv, (char **)plan->external_environment);
    _exit(127);
  }
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return true;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    snprintf(error, size, "error running the OCI runtime %s", argv[0]);
  else
    snprintf(error, size, "OCI runtime %s failed: status %d", argv[0], WEXITSTATUS(status));
  return false;
}

static bool file_in(const struct plan *plan, const char *id, const char *suffix, char *path, size_t size) {
  return (size_t)snprintf(path, size, "%s/%s%s", plan->external_directory, id, suffix) < size;
}

/* A socket on which the runtime hands the terminal over. */
static int console_listen(const char *path, char *error, size_t size) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (strlen(path) >= sizeof address.sun_path) errno = ENAMETOOLONG;
  else {
    strcpy(address.sun_path, path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0) return fd;
  }
  snprintf(error, size, "console socket: %s", error_text(errno));
  if (fd >= 0) close(fd);
  return -1;
}

static int console_accept(int listener) {
  struct pollfd p = {listener, POLLIN, 0};
  if (poll(&p, 1, CONSOLE_MS) != 1) return -1;
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), got = -1;
  if (fd < 0) return -1;
  char word[256];
  struct iovec part = {word, sizeof word};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) > 0) {
    struct cmsghdr *h = CMSG_FIRSTHDR(&message);
    if (h && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int))) memcpy(&got, CMSG_DATA(h), sizeof got);
  }
  close(fd);
  return got;
}

static pid_t read_pid(const char *path) {
  char text[32];
  read_small_file(path, text, sizeof text);
  unlink(path);
  long pid = strtol(text, NULL, 10);
  return pid > 1 ? (pid_t)pid : -1;
}

static pid_t make(const struct plan *plan, const char **argv, const char *id, bool terminal, struct stdio_pair *io,
                  char *error, size_t size) {
  char pid_file[4200], console[4200];
  int listener = -1;
  if (!file_in(plan, id, ".pid", pid_file, sizeof pid_file) || !file_in(plan, id, ".tty", console, sizeof console))
    return snprintf(error, size, "path too long"), -1;
  if (terminal && (listener = console_listen(console, error, size)) < 0) return -1;
  bool ok = run_tool(plan, argv, io, error, size);
  if (ok && terminal) {
    /* both directions of a terminal are the one descriptor */
    io->parent[1] = console_accept(listener);
    io->parent[0] = io->parent[1] < 0 ? -1 : fcntl(io->parent[1], F_DUPFD_CLOEXEC, 3);
    if (io->parent[0] < 0) ok = false, snprintf(error, size, "the OCI runtime did not hand the terminal over");
  }
  if (listener >= 0) {
    close(listener);
    unlink(console);
  }
  pid_t pid = ok ? read_pid(pid_file) : -1;
  if (ok && pid < 0) snprintf(error, size, "the OCI runtime wrote no pid file");
  return pid;
}

pid_t external_create(const struct plan *plan, struct stdio_pair *io, char *error, size_t size) {
  if (!mount_root(plan, error, size)) return -1;
  return make(plan, plan->external_create, "init", plan->flags & CFG_TERMINAL, io, error, size);
}

bool external_start(const struct plan *plan, char *error, size_t size) {
  return run_tool(plan, plan->external_start, NULL, error, size);
}

pid_t external_exec(const struct plan *plan, const struct process_plan *command, const char *id, bool terminal,
                    struct stdio_pair *io, char *error, size_t size) {
  pid_t pid = make(plan, command->argv, id, terminal, io, error, size);
  char process[4200];
  if (file_in(plan, id, ".process", process, sizeof process)) unlink(process); /* the runtime has read it */
  return pid;
}
