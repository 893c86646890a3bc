/* OCI hooks: programs that get the container's state on stdin. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

bool has_hooks(const struct plan *plan, unsigned stage) {
  for (unsigned i = 0; i < plan->nhooks; i++)
    if (plan->hooks[i].stage == stage) return true;
  return false;
}

static _Noreturn void hook_child(const struct hook_plan *h, int input, int output) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(125);
  close_from(3);
  execve(h->path, (char **)h->argv, (char **)h->envp);
  dprintf(2, "%s", error_text(errno));
  _exit(127);
}

static bool run_hook(const struct plan *plan, const struct hook_plan *h, const char *status, pid_t pid, char *error,
                     size_t size) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) < 0) return snprintf(error, size, "hook: %s", error_text(errno)), false;
  if (pipe2(out, O_CLOEXEC) < 0) {
    close(in[0]), close(in[1]);
    return snprintf(error, size, "hook: %s", error_text(errno)), false;
  }
  pid_t child = fork();
  if (child == 0) hook_child(h, in[0], out[1]);
  close(in[0]);
  close(out[1]);
  if (child > 0) {
    char tail[96];
    int n = pid ? snprintf(tail, sizeof tail, ",\"status\":\"%s\",\"pid\":%d}", status, pid)
                : snprintf(tail, sizeof tail, ",\"status\":\"%s\"}", status);
    /* a hook may not care for its input */
    if (write_all(in[1], plan->state_json, strlen(plan->state_json))) write_all(in[1], tail, (size_t)n);
  }
  close(in[1]);
  char said[512];
  size_t length = 0;
  bool late = false;
  int64_t end = h->timeout ? monotonic_ms() + (int64_t)h->timeout * 1000 : 0;
  while (child > 0) {
    struct pollfd p = {out[0], POLLIN, 0};
    int left = -1;
    if (end) {
      int64_t rest = end - monotonic_ms();
      left = rest < 0 ? 0 : rest > 1000000 ? 1000000 : (int)rest;
    }
    int ready = poll(&p, 1, left);
    if (ready == 0 && end) {
      late = true;
      kill(child, SIGKILL);
      break;
    }
    if (ready < 0 && errno != EINTR) break;
    char sink[256];
    bool room = length < sizeof said - 1;
    ssize_t n = ready > 0 ? read(out[0], room ? said + length : sink, room ? sizeof said - 1 - length : sizeof sink) : 1;
    if (n <= 0) break;
    if (ready > 0 && room) length += (size_t)n;
  }
  close(out[0]);
  said[length] = 0;
  int result = 0;
  if (child < 0) return snprintf(error, size, "hook: %s", error_text(errno)), false;
  while (waitpid(child, &result, 0) < 0 && errno == EINTR) {
  }
  if (late) return snprintf(error, size, "error running hook: timeout of %us exceeded, path: %s", h->timeout, h->path), false;
  if (result == 0) return true;
  while (length && said[length - 1] == '\n') said[--length] = 0;
  if (WIFSIGNALED(result))
    snprintf(error, size, "error running hook: signal %d, path: %s, output: %s", WTERMSIG(result), h->path, said);
  else
    snprintf(error, size, "error running hook: exit status %d, path: %s, output: %s", WEXITSTATUS(result), h->path, said);
  return false;
}

bool run_hooks(const struct plan *plan, unsigned stage, const char *status, pid_t pid, char *error, size_t size) {
  for (unsigned i = 0; i < plan->nhooks; i++)
    if (plan->hooks[i].stage == stage && !run_hook(plan, &plan->hooks[i], status, pid, error, size)) return false;
  return true;
}
