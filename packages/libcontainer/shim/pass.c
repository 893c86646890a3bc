/* Handing descriptors to listeners outside: terminals, and seccomp's notifications. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"

static bool connect_unix(const char *path, int *fd) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (*fd < 0) return false;
  if (strlen(path) >= sizeof address.sun_path) return errno = ENAMETOOLONG, false;
  strcpy(address.sun_path, path);
  return connect(*fd, (struct sockaddr *)&address, sizeof address) == 0;
}

bool pass_to_socket(const char *path, int pass, const char *word) {
  int fd;
  bool ok = connect_unix(path, &fd) && send_with_fd(fd, word, strlen(word), pass);
  if (fd >= 0) close(fd);
  return ok;
}

/* The container process state of the OCI specification (config-linux.md, "seccomp"). */
bool pass_listener(const struct plan *plan, pid_t pid, int listener) {
  char text[8192];
  const char *metadata = *plan->process.seccomp_metadata ? plan->process.seccomp_metadata : "\"\"";
  const char *state = *plan->state_json ? plan->state_json : "{\"ociVersion\":\"1.2.0\"";
  int n = snprintf(text, sizeof text,
                   "{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":%s,\"state\":%s,"
                   "\"status\":\"creating\",\"pid\":%d}}",
                   pid, metadata, state, pid);
  if (n < 0 || (size_t)n >= sizeof text) return errno = E2BIG, false;
  return pass_to_socket(plan->process.seccomp_listener, listener, text);
}
