/* Messages between the shim and a process it sets up. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim.h"

int child_sync = -1;

bool sync_send(int fd, uint32_t kind, int32_t value) {
  struct sync_message m = {.kind = kind, .value = value};
  /* plain read and write: a container's own seccomp filter, in force by then, may know no socket calls */
  return write(fd, &m, offsetof(struct sync_message, text)) > 0;
}

bool send_with_fd(int fd, const void *data, size_t length, int pass) {
  struct iovec part = {(void *)data, length};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &pass, sizeof pass);
  return sendmsg(fd, &message, MSG_NOSIGNAL) > 0;
}

bool sync_send_fd(int fd, uint32_t kind, int pass) {
  struct sync_message m = {.kind = kind};
  return send_with_fd(fd, &m, offsetof(struct sync_message, text), pass);
}

int sync_receive(int fd, struct sync_message *m, int *passed, bool wait) {
  struct iovec part = {m, sizeof *m - 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  ssize_t n;
  struct msghdr message;
  do {
    message = (struct msghdr){
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (n < 0 && errno == EINTR);
  if (passed) *passed = -1;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return -2;
  if (n < (ssize_t)offsetof(struct sync_message, text)) return -1;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof(int))) continue;
    int got;
    memcpy(&got, CMSG_DATA(h), sizeof got);
    if (passed)
      *passed = got;
    else
      close(got);
  }
  size_t text = (size_t)n - offsetof(struct sync_message, text);
  m->text[text] = 0;
  return (int)text;
}

static _Noreturn void fail_list(unsigned exit_code, int error, const char *format, va_list list) {
  struct sync_message m = {.kind = MSG_ERROR, .error = error, .exit_code = exit_code};
  int n = vsnprintf(m.text, sizeof m.text, format, list);
  size_t length = n < 0 ? 0 : (size_t)n < sizeof m.text ? (size_t)n : sizeof m.text - 1;
  if (error && length < sizeof m.text - 1) {
    n = snprintf(m.text + length, sizeof m.text - length, ": %s", error_text(error));
    length += n < 0 ? 0 : (size_t)n;
    if (length > sizeof m.text - 1) length = sizeof m.text - 1;
  }
  if (child_sync >= 0) {
    if (write(child_sync, &m, offsetof(struct sync_message, text) + length) < 0) _exit(125);
  } else {
    m.text[length] = '\n';
    write_all(2, m.text, length + 1);
  }
  _exit((int)exit_code);
}

_Noreturn void fail(int error, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fail_list(125, error, format, list);
}

_Noreturn void fail_code(unsigned exit_code, int error, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fail_list(exit_code, error, format, list);
}

void await_go(void) {
  struct sync_message m;
  ssize_t n;
  if (child_sync < 0) return;
  while ((n = read(child_sync, &m, sizeof m)) < 0 && errno == EINTR) {
  }
  if (n < (ssize_t)offsetof(struct sync_message, text) || m.kind != MSG_GO) _exit(125);
}
