/* Paths inside a container's root. An image chooses its symlinks; none of them may lead outside. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "shim.h"

int open_in_root(int root, const char *path, uint64_t flags) {
  for (int tries = 0;; tries++) {
    int fd = sys_openat2(root, *path ? path : ".", flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);
    /* EAGAIN: something was renamed meanwhile and the kernel could not be sure; try again, within reason */
    if (fd >= 0 || errno != EAGAIN || tries == 64) return fd;
  }
}

/* Puts the target of the dangling link `name` in `parent` in front of `rest`. */
static bool follow(int parent, const char *name, const char *done, char *rest) {
  char target[PATH_MAX], joined[PATH_MAX];
  ssize_t n = readlinkat(parent, name, target, sizeof target - 1);
  if (n < 0) return false;
  target[n] = 0;
  int length = target[0] == '/' ? snprintf(joined, sizeof joined, "%s/%s", target, rest)
                                : snprintf(joined, sizeof joined, "%s/%s/%s", done, target, rest);
  if (length < 0 || (size_t)length >= sizeof joined) {
    errno = ENAMETOOLONG;
    return false;
  }
  strcpy(rest, joined);
  return true;
}

int create_in_root(int root, const char *path, bool file, unsigned mode) {
  int fd = open_in_root(root, path, O_PATH);
  if (fd >= 0 || errno != ENOENT) return fd;
  char rest[PATH_MAX], done[PATH_MAX] = "";
  if (strlen(path) >= sizeof rest) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(rest, path);
  int links = 0;
  int parent = open_in_root(root, "/", O_PATH | O_DIRECTORY);
  while (parent >= 0) {
    char *start = rest + strspn(rest, "/");
    if (!*start) return parent;
    size_t length = strcspn(start, "/");
    char name[NAME_MAX + 1];
    if (length > NAME_MAX) {
      close(parent);
      errno = ENAMETOOLONG;
      return -1;
    }
    memcpy(name, start, length);
    name[length] = 0;
    char *after = start + length;
    bool last = after[strspn(after, "/")] == 0;
    char deeper[PATH_MAX];
    if (snprintf(deeper, sizeof deeper, "%s/%s", done, name) >= (int)sizeof deeper) {
      close(parent);
      errno = ENAMETOOLONG;
      return -1;
    }
    int next = open_in_root(root, deeper, O_PATH);
    if (next < 0 && errno == ENOENT && strcmp(name, "..")) {
      struct stat st;
      if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
        memmove(rest, after, strlen(after) + 1);
        if (++links > 40 || !follow(parent, name, done, rest)) {
          if (links > 40) errno = ELOOP;
          close(parent);
          return -1;
        }
        close(parent);
        done[0] = 0; /* the joined path is whole again: walk it from the root */
        parent = open_in_root(root, "/", O_PATH | O_DIRECTORY);
        continue;
      }
      if (last && file) {
        int made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, mode);
        if (made >= 0) close(made);
        else if (errno != EEXIST) {
          close(parent);
          return -1;
        }
      } else if (mkdirat(parent, name, last ? mode : 0755) < 0 && errno != EEXIST) {
        close(parent);
        return -1;
      }
      next = open_in_root(root, deeper, O_PATH);
    }
    int error = errno;
    close(parent);
    errno = error;
    parent = next;
    strcpy(done, deeper);
    memmove(rest, after, strlen(after) + 1);
  }
  return -1;
}
