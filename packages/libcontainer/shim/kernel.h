/* What the kernel has and the C library's headers lack: numbers, structures and raw calls. */
#ifndef GANTRY_KERNEL_H
#define GANTRY_KERNEL_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

#define FSOPEN_CLOEXEC_ 1u
#define FSMOUNT_CLOEXEC_ 1u
#define FSCONFIG_SET_FLAG_ 0
#define FSCONFIG_SET_STRING_ 1
#define FSCONFIG_CMD_CREATE_ 6
#define OPEN_TREE_CLONE_ 1u
#define AT_RECURSIVE_ 0x8000u
#define MOVE_MOUNT_F_EMPTY_PATH_ 0x04u
#define MOVE_MOUNT_T_EMPTY_PATH_ 0x40u

#define MOUNT_ATTR_RDONLY_ 0x01u
#define MOUNT_ATTR_NOSUID_ 0x02u
#define MOUNT_ATTR_NODEV_ 0x04u
#define MOUNT_ATTR_NOEXEC_ 0x08u
#define MOUNT_ATTR_ATIME_ 0x70u
#define MOUNT_ATTR_NOATIME_ 0x10u
#define MOUNT_ATTR_STRICTATIME_ 0x20u
#define MOUNT_ATTR_NODIRATIME_ 0x80u
#define MOUNT_ATTR_IDMAP_ 0x00100000u
#define MOUNT_ATTR_NOSYMFOLLOW_ 0x00200000u

struct mount_attr_ {
  uint64_t attr_set, attr_clr, propagation, userns_fd;
};

#define RESOLVE_NO_MAGICLINKS_ 0x02u
#define RESOLVE_NO_SYMLINKS_ 0x04u
#define RESOLVE_IN_ROOT_ 0x10u
struct open_how_ {
  uint64_t flags, mode, resolve;
};

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#define CLONE_INTO_CGROUP_ 0x200000000ULL
struct clone_args_ {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#define SECCOMP_SET_MODE_FILTER_ 1
#define SECCOMP_FILTER_FLAG_NEW_LISTENER_ 8u
struct sock_fprog_ {
  unsigned short len;
  const void *filter;
};

#define CAP_VERSION_3_ 0x20080522
struct cap_header_ {
  uint32_t version;
  int pid;
};
struct cap_data_ {
  uint32_t effective, permitted, inheritable;
};

#define KEYCTL_JOIN_SESSION_KEYRING_ 1
#define PROC_SUPER_MAGIC_ 0x9fa0 /* linux/magic.h, which musl-gcc does not see */
#define TIOCGPTPEER_ 0x5441

static inline int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how_ how = {flags, mode, resolve};
  return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}
static inline int sys_open_tree(int dir, const char *path, unsigned flags) {
  return (int)syscall(SYS_open_tree, dir, path, flags);
}
static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
  return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}
static inline int sys_fsopen(const char *type, unsigned flags) { return (int)syscall(SYS_fsopen, type, flags); }
static inline int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) {
  return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static inline int sys_fsmount(int fd, unsigned flags, unsigned attrs) {
  return (int)syscall(SYS_fsmount, fd, flags, attrs);
}
static inline int sys_mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr_ *attr) {
  return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof *attr);
}
static inline int sys_close_range(unsigned first, unsigned last, unsigned flags) {
  return (int)syscall(SYS_close_range, first, last, flags);
}
static inline int sys_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

#endif
