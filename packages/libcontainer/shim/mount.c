/* Detached mounts: made, given their attributes, then moved into place. */
#define _GNU_SOURCE
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"

void read_bind(struct reader *r, struct bind_step *b) {
  memset(b, 0, sizeof *b);
  b->source = get_str(r);
  b->target = get_str(r);
  b->own.set = get_u64(r);
  b->own.clear = get_u64(r);
  b->all.set = get_u64(r);
  b->all.clear = get_u64(r);
  b->propagation = get_u32(r);
  b->propagation_recursive = get_u32(r) != 0;
  b->flags = get_u32(r);
  b->uid_map = get_str(r);
  b->gid_map = get_str(r);
}

void read_overlay(struct reader *r, struct overlay_step *o) {
  memset(o, 0, sizeof *o);
  o->at = get_str(r);
  o->flags = get_u32(r);
  o->upper = get_str(r);
  o->work = get_str(r);
  o->lower = get_list(r, &o->nlower);
  o->options = r->bad ? NULL : get_list(r, NULL);
}

void read_mount(struct reader *r, struct mount_step *m) {
  memset(m, 0, sizeof *m);
  m->type = get_str(r);
  m->source = get_str(r);
  m->target = get_str(r);
  m->set = get_u64(r);
  m->clear = get_u64(r);
  m->propagation = get_u32(r);
  m->flags = get_u32(r);
  m->options = get_list(r, NULL);
}

/* The old mount call, for kernels before 5.12 that have no mount_setattr. Only the mount itself, not what is below. */
static int remount(int tree, uint64_t set, uint64_t propagation) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", tree);
  unsigned long flags = 0;
  if (set & MOUNT_ATTR_RDONLY_) flags |= MS_RDONLY;
  if (set & MOUNT_ATTR_NOSUID_) flags |= MS_NOSUID;
  if (set & MOUNT_ATTR_NODEV_) flags |= MS_NODEV;
  if (set & MOUNT_ATTR_NOEXEC_) flags |= MS_NOEXEC;
  if (set & MOUNT_ATTR_NOATIME_) flags |= MS_NOATIME;
  if (set & MOUNT_ATTR_NODIRATIME_) flags |= MS_NODIRATIME;
  if (flags && mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0) return -1;
  if (propagation && mount(NULL, path, NULL, (unsigned long)propagation, NULL) < 0) return -1;
  return 0;
}

int set_attributes(int tree, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
  /* the access time settings are one field: setting one means clearing the others */
  if (set & MOUNT_ATTR_ATIME_ || clear & MOUNT_ATTR_ATIME_) clear |= MOUNT_ATTR_ATIME_;
  if (!set && !clear && !propagation) return 0;
  struct mount_attr_ attr = {set, clear, propagation, 0};
  int result = sys_mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE_ : 0), &attr);
  if (result < 0 && errno == ENOSYS) return remount(tree, set, propagation);
  return result;
}

int attach_tree(int tree, int target) {
  return sys_move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH_ | MOVE_MOUNT_T_EMPTY_PATH_);
}

int directory_tree(const char *path) { return sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE_ | AT_RECURSIVE_ | O_CLOEXEC); }

/* A user namespace with these maps, held by a descriptor only. Its process names itself as /proc sees it: we may be in
   a pid namespace of our own while /proc is still the host's. */
static int mapping_namespace(const char *uid_map, const char *gid_map) {
  int hold[2], name[2];
  if (pipe2(hold, O_CLOEXEC) < 0) return -1;
  if (pipe2(name, O_CLOEXEC) < 0) return close(hold[0]), close(hold[1]), -1;
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  char own[16] = "";
  if (pid == 0) {
    ssize_t n = readlink("/proc/self", own, sizeof own);
    close(hold[1]);
    if (n > 0 && write_all(name[1], own, (size_t)n)) {
      close(name[1]);
      while (read(hold[0], own, 1) < 0 && errno == EINTR) {
      }
    }
    _exit(0);
  }
  int error = pid < 0 ? errno : 0, fd = -1;
  close(name[1]);
  if (pid > 0) {
    char path[64];
    ssize_t n = read(name[0], own, sizeof own - 1);
    own[n < 0 ? 0 : n] = 0;
    snprintf(path, sizeof path, "/proc/%s/uid_map", own);
    error = -write_file_at(AT_FDCWD, path, uid_map);
    snprintf(path, sizeof path, "/proc/%s/gid_map", own);
    if (!error) error = -write_file_at(AT_FDCWD, path, gid_map);
    snprintf(path, sizeof path, "/proc/%s/ns/user", own);
    if (!error && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) error = errno;
  }
  close(name[0]);
  close(hold[0]);
  close(hold[1]);
  if (pid > 0) waitpid(pid, NULL, 0);
  errno = error;
  return fd;
}

int bind_tree(const struct bind_step *b) {
  int tree = sys_open_tree(AT_FDCWD, b->source,
                           OPEN_TREE_CLONE_ | O_CLOEXEC | (b->flags & BIND_RECURSIVE ? AT_RECURSIVE_ : 0));
  if (tree < 0) return -1;
  if (b->flags & (BIND_IDMAP | BIND_IDMAP_RECURSIVE)) {
    int map = mapping_namespace(b->uid_map, b->gid_map);
    struct mount_attr_ attr = {MOUNT_ATTR_IDMAP_, 0, MS_PRIVATE, map < 0 ? 0 : (uint64_t)map};
    unsigned flags = AT_EMPTY_PATH | (b->flags & BIND_IDMAP_RECURSIVE ? AT_RECURSIVE_ : 0);
    if (map < 0 || sys_mount_setattr(tree, "", flags, &attr) < 0) {
      int error = errno;
      if (map >= 0) close(map);
      close(tree);
      errno = error;
      return -1;
    }
    close(map);
  }
  return tree;
}

static int filesystem_end(int fs, int result, unsigned attrs) {
  int tree = result < 0 ? -1 : sys_fsmount(fs, FSMOUNT_CLOEXEC_, attrs);
  int error = errno;
  close(fs);
  errno = error;
  return tree;
}

static int set_option(int fs, const char *option) {
  const char *equals = strchr(option, '=');
  if (!equals) return sys_fsconfig(fs, FSCONFIG_SET_FLAG_, option, NULL, 0);
  char key[64];
  size_t length = (size_t)(equals - option);
  if (length >= sizeof key) {
    errno = EINVAL;
    return -1;
  }
  memcpy(key, option, length);
  key[length] = 0;
  return sys_fsconfig(fs, FSCONFIG_SET_STRING_, key, equals + 1, 0);
}

int filesystem_tree(const struct mount_step *m) {
  int fs = sys_fsopen(m->type, FSOPEN_CLOEXEC_);
  if (fs < 0) return -1;
  int result = *m->source ? sys_fsconfig(fs, FSCONFIG_SET_STRING_, "source", m->source, 0) : 0;
  for (const char **o = m->options; result >= 0 && o && *o; o++) result = set_option(fs, *o);
  /* these are the container's alone, so that not only this mount of them can be read-only */
  bool own = !strcmp(m->type, "sysfs") || !strcmp(m->type, "tmpfs");
  if (result >= 0 && own && m->set & MOUNT_ATTR_RDONLY_) result = sys_fsconfig(fs, FSCONFIG_SET_FLAG_, "ro", NULL, 0);
  if (result >= 0) result = sys_fsconfig(fs, FSCONFIG_CMD_CREATE_, NULL, NULL, 0);
  return filesystem_end(fs, result, (unsigned)(m->set & ~(uint64_t)MOUNT_ATTR_NOSYMFOLLOW_));
}

/* The kernel takes at most 255 bytes as a value; a longer path is named by a descriptor. */
static int set_path(int fs, const char *key, const char *path) {
  if (strlen(path) < 256) return sys_fsconfig(fs, FSCONFIG_SET_STRING_, key, path, 0);
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  char name[32];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  int result = sys_fsconfig(fs, FSCONFIG_SET_STRING_, key, name, 0);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

/*
 * A volatile mount marks its work directory, so that nobody mounts over what a crash of the machine may have left half
 * written. The container is gone by then; until then it may well be mounted again: by a restart, or by a start that
 * comes after what was made ahead for it was done away with.
 */
static void forget_volatile(const struct overlay_step *o) {
  if (!(o->flags & OVERLAY_VOLATILE)) return;
  /* Such a directory may be as long as a path can be. */
  int work = open(o->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (work < 0) return;
  unlinkat(work, "work/incompat/volatile/dirty", 0);
  unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR);
  close(work);
}

int overlay_detached(const struct overlay_step *o) {
  int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC_);
  if (fs < 0) return -1;
  int result = sys_fsconfig(fs, FSCONFIG_SET_STRING_, "source", "overlay", 0);
  /* before 6.5 any word is taken, and judged when the mount is made */
  if (result >= 0 && sys_fsconfig(fs, FSCONFIG_SET_FLAG_, "no-such-option", NULL, 0) == 0) errno = ENOSYS, result = -1;
  for (uint32_t i = 0; result >= 0 && i < o->nlower; i++) {
    result = set_path(fs, "lowerdir+", o->lower[i]);
    if (result < 0 && errno == EINVAL && i == 0) errno = ENOSYS; /* before 6.7 */
  }
  if (result >= 0 && *o->upper) result = set_path(fs, "upperdir", o->upper);
  if (result >= 0 && *o->upper) result = set_path(fs, "workdir", o->work);
  if (result >= 0 && o->flags & OVERLAY_VOLATILE) result = sys_fsconfig(fs, FSCONFIG_SET_FLAG_, "volatile", NULL, 0);
  for (const char **p = o->options; result >= 0 && p && *p; p++) result = set_option(fs, *p);
  if (result >= 0) result = sys_fsconfig(fs, FSCONFIG_CMD_CREATE_, NULL, NULL, 0);
  if (result >= 0) forget_volatile(o);
  return filesystem_end(fs, result, 0);
}

/* mount(2) takes one page of options: layers are named by descriptor numbers, relative to /proc/self/fd. */
int overlay_by_mount(const struct overlay_step *o) {
  char data[4096];
  size_t used = (size_t)snprintf(data, sizeof data, "lowerdir=");
  for (uint32_t i = 0; i < o->nlower; i++) {
    int fd = open(o->lower[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    used += (size_t)snprintf(data + used, sizeof data - used, i ? ":%d" : "%d", fd);
    if (used >= sizeof data) return errno = E2BIG, -1;
  }
  if (*o->upper) {
    int upper = open(o->upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int work = open(o->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0 || work < 0) return -1;
    used += (size_t)snprintf(data + used, sizeof data - used, ",upperdir=%d,workdir=%d%s", upper, work,
                             o->flags & OVERLAY_VOLATILE ? ",volatile" : "");
    if (used >= sizeof data) return errno = E2BIG, -1;
  }
  for (const char **p = o->options; p && *p; p++) {
    used += (size_t)snprintf(data + used, sizeof data - used, ",%s", *p);
    if (used >= sizeof data) return errno = E2BIG, -1;
  }
  if (chdir("/proc/self/fd") < 0 || mount("overlay", o->at, "overlay", 0, data) < 0) return -1;
  forget_volatile(o);
  int tree = open(o->at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return tree < 0 ? -1 : tree;
}

int overlay_tree(const struct overlay_step *o) {
  int tree = overlay_detached(o);
  if (tree < 0 && errno == ENOSYS) return overlay_by_mount(o);
  if (tree < 0) return -1;
  int at = open(o->at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0 || attach_tree(tree, at) < 0) {
    int error = errno;
    close(tree);
    errno = error;
    return -1;
  }
  close(at);
  return tree;
}
