/* epoll, and what has its turn in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

int loop_fd = -1;

bool loop_init(void) { return (loop_fd = epoll_create1(EPOLL_CLOEXEC)) >= 0; }

bool source_watch(struct source *s, uint32_t events) {
  if (s->fd < 0) return false;
  if (s->events == events) return true;
  struct epoll_event e = {.events = events, .data.ptr = s};
  int op = s->events ? (events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL) : EPOLL_CTL_ADD;
  if (epoll_ctl(loop_fd, op, s->fd, &e) < 0) return false;
  s->events = events;
  return true;
}

void source_forget(struct source *s) {
  if (s->fd < 0) return;
  if (s->events) epoll_ctl(loop_fd, EPOLL_CTL_DEL, s->fd, NULL);
  close(s->fd);
  s->fd = -1;
  s->events = 0;
}

int64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
