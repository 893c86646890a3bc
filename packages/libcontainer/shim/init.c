/* `docker run --init`: the first process of a container whose program does not want to be one. Under the name
   docker-init this program runs another, hands signals on to it, reaps what nobody waits for, and ends as it ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

static _Noreturn void run(char **argv, const sigset_t *mask) {
  /* a group of its own, which gets the terminal's signals; that takes a SIGTTOU no one may be stopped by */
  setpgid(0, 0);
  tcsetpgrp(0, getpgrp());
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvp(argv[0], argv);
  int error = errno;
  char text[512];
  int length = snprintf(text, sizeof text, "docker-init: exec %s failed: %s\n", argv[0], error_text(error));
  write_all(2, text, (size_t)(length < (int)sizeof text ? length : (int)sizeof text - 1));
  _exit(error == ENOENT ? 127 : 126);
}

/* Waits for all that have exited. Whether the program itself has; its code as a shell gives it. */
static bool reap(pid_t program, int *code) {
  bool ended = false;
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != program) continue;
    *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    ended = true;
  }
  return ended;
}

int container_init(int argc, char **argv) {
  char **command = argv + 1;
  if (argc > 1 && !strcmp(argv[1], "--")) command++;
  if (!*command) {
    static const char usage[] = "usage: docker-init [--] PROGRAM [ARGUMENT...]\n";
    write_all(2, usage, sizeof usage - 1);
    return 125;
  }
  sigset_t all, before;
  sigfillset(&all);
  /* those that a fault of our own raises */
  for (const int *s = (const int[]){SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, 0}; *s; s++)
    sigdelset(&all, *s);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t program = fork();
  if (program == 0) run(command, &before);
  if (program < 0) return 125;
  for (int code = 0;;) {
    int number = sigwaitinfo(&all, NULL);
    if (number == SIGCHLD) {
      if (reap(program, &code)) return code;
    } else if (number > 0) kill(program, number);
  }
}
