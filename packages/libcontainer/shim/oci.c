/* The command line runtime's side: the container is made, and left to whoever started us; or waited for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

/* What the command line reads from its pipe: the pid, or why there is none. */
static void tell(int result, int32_t pid, const struct sync_message *m) {
  struct {
    int32_t pid, error;
    uint32_t exit_code;
    char text[1024];
  } frame = {.pid = pid};
  size_t length = offsetof(__typeof__(frame), text);
  if (m) {
    frame.error = m->error;
    frame.exit_code = m->exit_code;
    length += (size_t)snprintf(frame.text, sizeof frame.text, "%s", m->text);
    if (length > sizeof frame) length = sizeof frame;
  }
  write_all(result, &frame, length);
}

static struct termios terminal_before;
static bool terminal_changed;

static void terminal_restore(void) {
  if (terminal_changed) tcsetattr(0, TCSANOW, &terminal_before);
}

static void terminal_raw(void) {
  struct termios raw;
  if (tcgetattr(0, &terminal_before) < 0) return;
  raw = terminal_before;
  cfmakeraw(&raw);
  terminal_changed = tcsetattr(0, TCSANOW, &raw) == 0;
}

static void copy_size(int master) {
  struct winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}

static bool copy_once(int from, int to) {
  char data[65536];
  ssize_t n = read(from, data, sizeof data);
  return n > 0 ? write_all(to, data, (size_t)n) : n < 0 && errno == EINTR;
}

/* Stays until the process has ended: signals go on to it, a terminal is copied both ways. Its exit code. */
static int stay(pid_t pid, int master) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  int signals = signalfd(-1, &all, SFD_CLOEXEC);
  int status = 0;
  bool ended = false;
  if (master >= 0) {
    terminal_raw();
    copy_size(master);
  }
  bool output = master >= 0, input = master >= 0;
  while (!ended || output) {
    if (!ended && waitpid(pid, &status, WNOHANG) == pid) {
      ended = true;
      continue;
    }
    struct pollfd p[3] = {{signals, POLLIN, 0}, {output ? master : -1, POLLIN, 0}, {input ? 0 : -1, POLLIN, 0}};
    if (poll(p, 3, ended ? 100 : -1) == 0) break; /* somebody else holds the terminal: not ours to wait for */
    if (p[0].revents) {
      struct signalfd_siginfo info;
      if (read(signals, &info, sizeof info) != sizeof info) continue;
      if (info.ssi_signo == SIGWINCH && master >= 0) copy_size(master);
      if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGURG && !ended) kill(pid, (int)info.ssi_signo);
    }
    if (p[1].revents) output = copy_once(master, 1);
    if (p[2].revents) input = copy_once(0, master);
  }
  terminal_restore();
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool runtime_hooks(const struct plan *plan, pid_t pid, struct sync_message *m) {
  return run_hooks(plan, HOOK_PRESTART, "created", pid, m->text, sizeof m->text) &&
         run_hooks(plan, HOOK_CREATE_RUNTIME, "created", pid, m->text, sizeof m->text);
}

/* Serves the process until it is ready (create) or exec'd (exec). */
static bool bring_up(const struct plan *plan, pid_t pid, int sync, int *master, struct sync_message *m) {
  bool execing = plan->oci_exec_pid != 0;
  for (;;) {
    int passed, n = sync_receive(sync, m, &passed, true);
    if (n < 0) {
      if (execing) return true;
      *m = (struct sync_message){.exit_code = 125, .text = "the container's init died"};
      return false;
    }
    switch (m->kind) {
      case MSG_ERROR: return false;
      case MSG_HOOKS:
        *m = (struct sync_message){.exit_code = 125};
        if (!runtime_hooks(plan, pid, m)) return false;
        sync_send(sync, MSG_GO, 0);
        break;
      case MSG_CONSOLE:
        if (*plan->oci_console_socket) {
          if (!pass_to_socket(plan->oci_console_socket, passed, "/dev/ptmx")) {
            *m = (struct sync_message){.error = errno, .exit_code = 125};
            snprintf(m->text, sizeof m->text, "error sending the terminal to the console socket: %s", error_text(errno));
            return false;
          }
        } else {
          *master = passed;
          passed = -1;
        }
        break;
      case MSG_LISTENER:
        if (passed >= 0 && !pass_listener(plan, pid, passed)) {
          *m = (struct sync_message){.error = errno, .exit_code = 125, .text = "error handing over the seccomp listener"};
          return false;
        }
        break;
      case MSG_READY:
        apply_limits(pid, &plan->process);
        if (!execing) {
          if (passed >= 0) close(passed);
          return true;
        }
        sync_send(sync, MSG_GO, 0);
        break;
      default: break;
    }
    if (passed >= 0) close(passed);
  }
}

int oci_main(const struct plan *plan, int result) {
  struct stdio_pair io;
  struct sync_message m = {.exit_code = 125};
  int sync = -1, master = -1;
  bool terminal = plan->flags & CFG_TERMINAL;
  for (int i = 0; i < 3; i++) io.child[i] = io.parent[i] = -1;
  fcntl(result, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_CHILD_SUBREAPER, plan->oci_detach ? 0 : 1, 0, 0, 0);
  pid_t pid = plan->oci_exec_pid ? spawn_exec(plan, plan->oci_exec_pid, &plan->process, terminal, plan->rows,
                                              plan->columns, &io, &sync, m.text, sizeof m.text)
                                 : spawn_init(plan, &io, &sync, m.text, sizeof m.text);
  if (pid < 0 || !bring_up(plan, pid, sync, &master, &m)) {
    if (pid > 0) {
      kill(pid, SIGKILL);
      waitpid(pid, NULL, 0);
    }
    tell(result, 0, &m);
    return (int)m.exit_code;
  }
  close(sync);
  tell(result, pid, NULL);
  close(result);
  return plan->oci_detach ? 0 : stay(pid, master);
}
