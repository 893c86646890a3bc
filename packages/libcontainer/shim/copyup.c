/* tmpcopyup: what an image has below a tmpfs's mount point is copied into the tmpfs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount.h"

#define DEEPEST 64

static bool copy_file(int from, int to, const char *name, const struct stat *st) {
  int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (in < 0) return false;
  int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool ok = out >= 0;
  for (off_t done = 0; ok && done < st->st_size;) {
    ssize_t n = sendfile(out, in, &done, 1 << 20);
    if (n == 0) break;
    ok = n > 0;
  }
  if (out >= 0) {
    ok = ok && fchown(out, st->st_uid, st->st_gid) == 0 && fchmod(out, st->st_mode & 07777) == 0;
    close(out);
  }
  close(in);
  return ok;
}

static bool copy_entry(int from, int to, const char *name, int depth);

static bool copy_directory(int from, int to, int depth) {
  if (depth > DEEPEST) return errno = ELOOP, false;
  int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    if (fd >= 0) close(fd);
    return false;
  }
  bool ok = true;
  for (struct dirent *e; ok && (e = readdir(dir));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) ok = copy_entry(from, to, e->d_name, depth);
  closedir(dir);
  return ok;
}

static bool copy_entry(int from, int to, const char *name, int depth) {
  struct stat st;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return false;
  if (S_ISREG(st.st_mode)) return copy_file(from, to, name, &st);
  if (S_ISLNK(st.st_mode)) {
    char target[PATH_MAX];
    ssize_t n = readlinkat(from, name, target, sizeof target - 1);
    if (n < 0) return false;
    target[n] = 0;
    return symlinkat(target, to, name) == 0 && fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) == 0;
  }
  if (!S_ISDIR(st.st_mode)) return mknodat(to, name, st.st_mode, st.st_rdev) == 0;
  if (mkdirat(to, name, 0700) < 0) return false;
  int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  bool ok = in >= 0 && out >= 0 && copy_directory(in, out, depth + 1) && fchown(out, st.st_uid, st.st_gid) == 0 &&
            fchmod(out, st.st_mode & 07777) == 0;
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  return ok;
}

bool copy_up(int from, int to) {
  struct stat st;
  if (fstat(from, &st) < 0) return false;
  if (!copy_directory(from, to, 0)) return false;
  return fchownat(to, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) == 0;
}
