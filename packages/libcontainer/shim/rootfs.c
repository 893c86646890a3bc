/* The steps that make a container's view of the file system, in the plan's order. Runs as init, before pivot_root. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel.h"
#include "mount.h"
#include "shim.h"

static int root = -1;
static int null_tree_source = -1, empty_tree = -1;

static void step_propagation(struct reader *r) {
  uint32_t flags = get_u32(r);
  if (mount(NULL, "/", NULL, flags, NULL) < 0) fail(errno, "error setting the propagation of \"/\"");
}

/* pivot_root wants the mount around the new root not to be shared; and nothing may spread from here. */
static void unshare_parent(const char *at) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s", at) >= (int)sizeof path) fail(ENAMETOOLONG, "root file system");
  while (mount(NULL, *path ? path : "/", NULL, MS_PRIVATE, NULL) < 0) {
    char *slash = strrchr(path, '/');
    if (errno != EINVAL || !slash) return;
    *slash = 0;
  }
}

static void step_overlay(struct reader *r, int ready) {
  struct overlay_step o;
  read_overlay(r, &o);
  if (r->bad) fail(EINVAL, "bad overlay step");
  unshare_parent(o.at);
  if (ready >= 0) { /* made before the user namespace was entered */
    int at = open(o.at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0 || attach_tree(ready, at) < 0) fail(errno, "error attaching the root file system");
    root = ready;
  } else {
    root = overlay_tree(&o);
    if (root < 0) fail(errno, "error mounting overlay of %u layers to \"%s\"", o.nlower, o.at);
  }
  /* opened anew: a descriptor from before the attachment still counts as the detached tree's root */
  int again = open(o.at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) fail(errno, "error opening the root file system");
  close(root);
  root = again;
}

static void step_directory(struct reader *r, int ready) {
  const char *path = get_str(r);
  const char *at = get_str(r);
  int tree = ready >= 0 ? ready : directory_tree(path);
  if (tree < 0) fail(errno, "error preparing root file system \"%s\"", path);
  unshare_parent(at);
  /* slave at least, so that nothing mounted inside spreads to the host */
  set_attributes(tree, 0, 0, MS_SLAVE, true);
  int target = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (target < 0 || attach_tree(tree, target) < 0) fail(errno, "error mounting root file system \"%s\"", path);
  close(target);
  close(tree);
  root = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail(errno, "error opening root file system \"%s\"", path);
}

/* A proc that no mount step has taken yet. */
static int own_proc = -1;

/* The file system of a mount step: the proc that is there already where the step wants it as it comes. */
static int tree_of(const struct mount_step *m) {
  int tree = own_proc;
  if (tree < 0 || strcmp(m->type, "proc") || (m->options && *m->options)) return filesystem_tree(m);
  own_proc = -1;
  return set_attributes(tree, m->set & ~(uint64_t)MOUNT_ATTR_NOSYMFOLLOW_, 0, 0, false) < 0 ? -1 : tree;
}

/* Over a directory that is there a tmpfs of no mode of its own has the directory's, as with runc; `mode` holds the option. */
static void keep_mode(struct mount_step *m, char *mode, size_t size) {
  size_t n = 0;
  if (strcmp(m->type, "tmpfs")) return;
  for (; m->options && m->options[n]; n++)
    if (!strncmp(m->options[n], "mode=", 5)) return;
  struct stat st;
  int there = open_in_root(root, m->target, O_PATH);
  if (there < 0) return;
  bool known = fstat(there, &st) == 0 && S_ISDIR(st.st_mode);
  close(there);
  const char **options = known ? realloc(m->options, (n + 2) * sizeof *options) : NULL;
  if (!options) return;
  snprintf(mode, size, "mode=%04o", st.st_mode & 07777);
  options[n] = mode;
  options[n + 1] = NULL;
  m->options = options;
}

static void step_mount(struct reader *r) {
  struct mount_step m;
  char mode[16];
  read_mount(r, &m);
  if (r->bad) fail(EINVAL, "bad mount step");
  keep_mode(&m, mode, sizeof mode);
  int target = create_in_root(root, m.target, false, 0755);
  if (target < 0) fail(errno, "error mounting \"%s\" to rootfs at \"%s\": create mount point", m.source, m.target);
  if (m.flags & MOUNT_NO_LINKS) {
    close(target);
    target = sys_openat2(root, m.target, O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_SYMLINKS_);
    if (target < 0) fail(errno, "filesystem \"%s\" must be mounted on ordinary directory \"%s\"", m.type, m.target);
  }
  int tree = tree_of(&m);
  if (tree < 0) fail(errno, "error mounting \"%s\" to rootfs at \"%s\": mount type %s", m.source, m.target, m.type);
  if (m.flags & MOUNT_COPY_UP && !copy_up(target, tree))
    fail(errno, "error mounting \"%s\" to rootfs at \"%s\": tmpcopyup", m.source, m.target);
  if (m.set & MOUNT_ATTR_NOSYMFOLLOW_) set_attributes(tree, MOUNT_ATTR_NOSYMFOLLOW_, 0, 0, false);
  if (attach_tree(tree, target) < 0)
    fail(errno, "error mounting \"%s\" to rootfs at \"%s\"", m.source, m.target);
  if (m.propagation && set_attributes(tree, 0, 0, m.propagation, false) < 0)
    fail(errno, "error setting the propagation of \"%s\"", m.target);
  free(m.options);
  close(tree);
  close(target);
}

static void step_bind(struct reader *r, int ready) {
  struct bind_step b;
  read_bind(r, &b);
  if (r->bad) fail(EINVAL, "bad bind step");
  int tree = ready >= 0 ? ready : bind_tree(&b);
  if (tree < 0 && errno == ENOENT && b.flags & BIND_OPTIONAL) return;
  struct stat st, at;
  if (tree < 0 || fstat(tree, &st) < 0)
    fail(errno, "error mounting \"%s\" to rootfs at \"%s\": source", b.source, b.target);
  bool file = !S_ISDIR(st.st_mode);
  int target = create_in_root(root, b.target, file, file ? 0644 : 0755);
  if (target < 0 || fstat(target, &at) < 0)
    fail(errno, "error mounting \"%s\" to rootfs at \"%s\": create mount point", b.source, b.target);
  if (file == S_ISDIR(at.st_mode))
    fail(ENOTDIR,
         "error mounting \"%s\" to rootfs at \"%s\": Are you trying to mount a directory onto a file (or vice-versa)? "
         "Check if the specified host path exists and is the expected type",
         b.source, b.target);
  if (b.propagation && set_attributes(tree, 0, 0, b.propagation, b.propagation_recursive) < 0)
    fail(errno, "error setting the propagation of \"%s\"", b.target);
  if (attach_tree(tree, target) < 0) fail(errno, "error mounting \"%s\" to rootfs at \"%s\"", b.source, b.target);
  if (set_attributes(tree, b.own.set, b.own.clear, 0, false) < 0 ||
      set_attributes(tree, b.all.set, b.all.clear, 0, true) < 0)
    fail(errno, "error setting the options of \"%s\"", b.target);
  close(tree);
  close(target);
}

/* Where mknod is refused (user namespaces), the host's own node is bound, if it is the same device. */
static bool bind_device(int parent, const char *name, const char *path, mode_t mode, dev_t device) {
  struct stat st;
  int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE_ | O_CLOEXEC);
  if (tree < 0 || fstat(tree, &st) < 0) return false;
  if ((st.st_mode & S_IFMT) != (mode & S_IFMT) || st.st_rdev != device) return errno = EPERM, false;
  int file = openat(parent, name, O_CREAT | O_NOFOLLOW | O_RDONLY | O_CLOEXEC, 0644);
  if (file >= 0) close(file);
  int target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  bool ok = target >= 0 && attach_tree(tree, target) == 0;
  if (target >= 0) close(target);
  close(tree);
  return ok;
}

static int open_parent(const char *path, const char **name) {
  char parent[4096];
  const char *slash = strrchr(path, '/');
  if (!slash || !slash[1] || (size_t)(slash - path) >= sizeof parent) return errno = EINVAL, -1;
  memcpy(parent, path, (size_t)(slash - path));
  parent[slash - path] = 0;
  *name = slash + 1;
  return create_in_root(root, parent, false, 0755);
}

static void step_device(struct reader *r) {
  const char *path = get_str(r);
  uint32_t mode = get_u32(r), major = get_u32(r), minor = get_u32(r), uid = get_u32(r), gid = get_u32(r);
  const char *name;
  int parent = r->bad ? -1 : open_parent(path, &name);
  if (parent < 0) fail(errno, "error creating device node \"%s\"", path);
  dev_t device = makedev(major, minor);
  if (mknodat(parent, name, mode, device) < 0) {
    if (errno == EPERM) {
      if (!bind_device(parent, name, path, mode, device)) fail(EPERM, "error creating device node \"%s\"", path);
      close(parent);
      return;
    }
    struct stat st;
    if (errno != EEXIST) fail(errno, "error creating device node \"%s\"", path);
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (st.st_mode & S_IFMT) != (mode & S_IFMT) ||
        ((S_ISCHR(mode) || S_ISBLK(mode)) && st.st_rdev != device))
      fail(EEXIST, "error creating device node \"%s\"", path);
  }
  /* mknod's mode was cut by the umask; a directory descriptor and no-follow keep a swapped link harmless */
  int node = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", node);
  if (node < 0 || chmod(self, mode & 07777) < 0 || fchownat(node, "", uid, gid, AT_EMPTY_PATH) < 0)
    fail(errno, "error setting the owner of device node \"%s\"", path);
  close(node);
  close(parent);
}

static void step_symlink(struct reader *r) {
  const char *target = get_str(r), *path = get_str(r), *name;
  int parent = open_parent(path, &name);
  if (parent < 0) fail(errno, "error linking \"%s\"", path);
  if (symlinkat(target, parent, name) < 0 &&
      (errno != EEXIST || unlinkat(parent, name, 0) < 0 || symlinkat(target, parent, name) < 0))
    fail(errno, "error linking \"%s\"", path);
  close(parent);
}

static void step_mkdir(struct reader *r) {
  const char *path = get_str(r);
  uint32_t mode = get_u32(r);
  int fd = create_in_root(root, path, false, mode);
  if (fd < 0) fail(errno, "error creating directory \"%s\"", path);
  close(fd);
}

/* Options that had to wait until everything was made inside the mount. */
static void step_remount(struct reader *r) {
  const char *path = get_str(r);
  uint64_t set = get_u64(r);
  int fd = open_in_root(root, path, O_PATH);
  if (fd < 0 || set_attributes(fd, set, 0, 0, false) < 0) fail(errno, "error remounting \"%s\"", path);
  close(fd);
}

static int null_tree(void) {
  struct stat st;
  if (null_tree_source < 0) {
    null_tree_source = open_in_root(root, "/dev/null", O_PATH | O_NOFOLLOW);
    if (null_tree_source < 0 || fstat(null_tree_source, &st) < 0 || !S_ISCHR(st.st_mode) ||
        st.st_rdev != makedev(1, 3)) {
      if (null_tree_source >= 0) close(null_tree_source);
      null_tree_source = open("/dev/null", O_PATH | O_CLOEXEC);
    }
  }
  return sys_open_tree(null_tree_source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_ | O_CLOEXEC);
}

/* One empty read-only tmpfs stands in for all masked directories. */
static int empty_directory(void) {
  if (empty_tree < 0) {
    static const char *options[] = {"nr_blocks=1", "nr_inodes=1", NULL};
    struct mount_step m = {.type = "tmpfs", .source = "tmpfs", .set = MOUNT_ATTR_RDONLY_, .options = options};
    return empty_tree = filesystem_tree(&m);
  }
  return sys_open_tree(empty_tree, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_ | O_CLOEXEC);
}

static void step_mask(struct reader *r) {
  const char *path = get_str(r);
  int target = open_in_root(root, path, O_PATH);
  if (target < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail(errno, "can't mask path \"%s\"", path);
  }
  struct stat st;
  if (fstat(target, &st) < 0) fail(errno, "can't mask path \"%s\"", path);
  int tree = S_ISDIR(st.st_mode) ? empty_directory() : null_tree();
  if (tree < 0 || attach_tree(tree, target) < 0) fail(errno, "can't mask path \"%s\"", path);
  if (tree != empty_tree) close(tree);
  close(target);
}

static void step_readonly(struct reader *r) {
  const char *path = get_str(r);
  int target = open_in_root(root, path, O_PATH);
  if (target < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail(errno, "can't make \"%s\" read-only", path);
  }
  int tree = sys_open_tree(target, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_ | AT_RECURSIVE_ | O_CLOEXEC);
  if (tree < 0 || attach_tree(tree, target) < 0 || set_attributes(tree, MOUNT_ATTR_RDONLY_, 0, 0, false) < 0)
    fail(errno, "can't make \"%s\" read-only", path);
  close(tree);
  close(target);
}

/* By a proc of our own, which the image has no hand in and which becomes the container's. Not by the host's: there all
   namespaces' sysctls of one name are entries of one directory, and a look-up passes the thousand of a thousand
   containers. */
static int open_sysctls(void) {
  struct mount_step m = {.type = "proc", .source = "proc"};
  own_proc = filesystem_tree(&m);
  if (own_proc < 0) return open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return openat(own_proc, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void step_sysctl(struct reader *r) {
  const char *path = get_str(r), *value = get_str(r);
  static int base = -1;
  if (base < 0 && (base = open_sysctls()) < 0) fail(errno, "open /proc/sys");
  int fd = open_in_root(base, path, O_WRONLY);
  if (fd < 0 || !write_all(fd, value, strlen(value))) fail(errno, "open sysctl /proc/sys/%s", path);
  close(fd);
}

static void step_console(struct reader *r, uint16_t rows, uint16_t columns) {
  uint32_t bind_console = get_u32(r);
  struct stat st;
  int master = open_in_root(root, "/dev/ptmx", O_RDWR | O_NOCTTY);
  if (master < 0 || fstat(master, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
    fail(master < 0 ? errno : ENODEV, "error opening /dev/ptmx of the container");
  int unlock = 0;
  if (ioctl(master, TIOCSPTLCK, &unlock) < 0) fail(errno, "error unlocking the terminal");
  int slave = ioctl(master, TIOCGPTPEER_, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) fail(errno, "error opening the terminal");
  if (rows || columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    ioctl(master, TIOCSWINSZ, &size);
  }
  if (bind_console) {
    int target = create_in_root(root, "/dev/console", true, 0666);
    int tree = sys_open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_ | O_CLOEXEC);
    if (target < 0 || tree < 0 || attach_tree(tree, target) < 0) fail(errno, "error mounting /dev/console");
    close(target);
    close(tree);
  }
  if (!sync_send_fd(child_sync, MSG_CONSOLE, master)) fail(errno, "error handing the terminal over");
  close(master);
  if (ioctl(slave, TIOCSCTTY, 0) < 0) fail(errno, "error taking the terminal");
  for (int fd = 0; fd < 3; fd++)
    if (dup2(slave, fd) < 0) fail(errno, "error taking the terminal");
  if (slave > 2) close(slave);
}

static void step_pivot(void) {
  if (fchdir(root) < 0) fail(errno, "error entering the root file system");
  if (syscall(SYS_pivot_root, ".", ".") < 0) fail(errno, "pivot_root");
  /* the old root now lies on top at "."; slave, so that its unmounting stays here */
  if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0) fail(errno, "error unsharing the old root");
  if (umount2(".", MNT_DETACH) < 0) fail(errno, "error unmounting the old root");
  if (chdir("/") < 0) fail(errno, "error entering the new root");
  close(root);
  root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail(errno, "error opening the new root");
}

static void step_root_readonly(void) {
  if (set_attributes(root, MOUNT_ATTR_RDONLY_, 0, 0, false) < 0) fail(errno, "error making the root read-only");
}

static void step_hooks(const struct plan *plan, unsigned stage) {
  if (stage == HOOK_CREATE_RUNTIME) { /* those run outside, by the shim */
    if (!sync_send(child_sync, MSG_HOOKS, 0)) _exit(125);
    await_go();
    return;
  }
  char error[1024];
  if (!run_hooks(plan, stage, "creating", getpid(), error, sizeof error)) fail(0, "%s", error);
}

static void run_step(const struct plan *plan, unsigned kind, struct reader *body, int ready, int console_sync) {
  switch (kind) {
    case STEP_PROPAGATION: step_propagation(body); break;
    case STEP_ROOT_OVERLAY: step_overlay(body, ready); break;
    case STEP_ROOT_DIR: step_directory(body, ready); break;
    case STEP_MOUNT: step_mount(body); break;
    case STEP_BIND: step_bind(body, ready); break;
    case STEP_DEVICE: step_device(body); break;
    case STEP_SYMLINK: step_symlink(body); break;
    case STEP_MKDIR: step_mkdir(body); break;
    case STEP_REMOUNT: step_remount(body); break;
    case STEP_MASK: step_mask(body); break;
    case STEP_READONLY: step_readonly(body); break;
    case STEP_SYSCTL: step_sysctl(body); break;
    case STEP_CGROUP_NS:
      if (unshare(CLONE_NEWCGROUP) < 0) fail(errno, "error making the cgroup namespace");
      break;
    case STEP_CONSOLE:
      if (console_sync) step_console(body, plan->rows, plan->columns);
      break;
    case STEP_ROOT_READONLY: step_root_readonly(); break;
    case STEP_PIVOT: step_pivot(); break;
    case STEP_CHROOT:
      if (fchdir(root) < 0 || chroot(".") < 0) fail(errno, "error entering the root file system");
      break;
    case STEP_HOSTNAME: {
      const char *name = get_str(body);
      if (sethostname(name, strlen(name)) < 0) fail(errno, "error setting the host name");
      break;
    }
    case STEP_DOMAINNAME: {
      const char *name = get_str(body);
      if (setdomainname(name, strlen(name)) < 0) fail(errno, "error setting the domain name");
      break;
    }
    case STEP_HOOKS_RUNTIME: step_hooks(plan, HOOK_CREATE_RUNTIME); break;
    case STEP_HOOKS_CONTAINER: step_hooks(plan, HOOK_CREATE_CONTAINER); break;
    default: fail(EINVAL, "unknown step %u in the plan", kind);
  }
  if (body->bad) fail(EINVAL, "bad step %u in the plan", kind);
}

void run_rootfs_steps(const struct plan *plan, const struct prepared *prepared, int console_sync) {
  struct reader r, body;
  reader_init(&r, plan->rootfs, plan->rootfs_length);
  unsigned index = 0;
  umask(0);
  for (unsigned kind; (kind = next_record(&r, &body)); index++)
    run_step(plan, kind, &body, prepared && index < prepared->count ? prepared->fds[index] : -1, console_sync);
  if (r.bad) fail(EINVAL, "bad plan");
  umask(022);
}

/* On a kernel without detached overlays: mounted where nobody else sees it, and taken off there. */
static int prepare_overlay(const struct overlay_step *o) {
  int tree = overlay_detached(o);
  if (tree >= 0 || errno != ENOSYS) return tree;
  if (unshare(CLONE_NEWNS) < 0) return -1;
  unshare_parent(o->at);
  int at = overlay_by_mount(o);
  if (at < 0) return -1;
  tree = sys_open_tree(at, "", AT_EMPTY_PATH | OPEN_TREE_CLONE_ | O_CLOEXEC);
  int error = errno;
  umount2(o->at, MNT_DETACH);
  close(at);
  errno = error;
  return tree;
}

void prepare_sources(const struct plan *plan, struct prepared *out) {
  struct reader r, body;
  unsigned count = 0;
  reader_init(&r, plan->rootfs, plan->rootfs_length);
  while (next_record(&r, &body)) count++;
  out->fds = malloc((count + 1) * sizeof(int));
  if (!out->fds) fail(ENOMEM, "plan");
  out->count = count;
  reader_init(&r, plan->rootfs, plan->rootfs_length);
  for (unsigned i = 0, kind; (kind = next_record(&r, &body)); i++) {
    out->fds[i] = -1;
    if (kind == STEP_BIND) {
      struct bind_step b;
      read_bind(&body, &b);
      out->fds[i] = bind_tree(&b);
      if (out->fds[i] < 0 && !(errno == ENOENT && b.flags & BIND_OPTIONAL))
        fail(errno, "error mounting \"%s\" to rootfs at \"%s\": source", b.source, b.target);
      /* no copy of a shared host mount may carry mounts out of the container */
      if (out->fds[i] >= 0 && !b.propagation) set_attributes(out->fds[i], 0, 0, MS_SLAVE, true);
    } else if (kind == STEP_ROOT_DIR) {
      const char *path = get_str(&body);
      if ((out->fds[i] = directory_tree(path)) < 0) fail(errno, "error preparing root file system \"%s\"", path);
      set_attributes(out->fds[i], 0, 0, MS_SLAVE, true);
    } else if (kind == STEP_ROOT_OVERLAY) {
      struct overlay_step o;
      read_overlay(&body, &o);
      if (body.bad || (out->fds[i] = prepare_overlay(&o)) < 0)
        fail(errno, "error mounting overlay of %u layers", o.nlower);
    }
  }
}
