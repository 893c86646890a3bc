/* Part of probe.c: system calls by name with harmless arguments (bad addresses and descriptors: what passes the
   filter fails with EFAULT, EBADF or EINVAL), each in a child of its own. */

/* newer than some C libraries; the same everywhere */
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifdef SYS_iopl
#define IF_X86(...) __VA_ARGS__
#else
#define IF_X86(...)
#endif

struct try {
  const char *name;
  long number;
  long args[6];
};

#define TRY(name, ...) {#name, SYS_##name, {__VA_ARGS__}}
#define NAMED(label, name, ...) {label, SYS_##name, {__VA_ARGS__}}

static const struct try tries[] = {
    TRY(acct, 1), TRY(add_key, 1, 1, 1, 0, -3), TRY(bpf, 0, 1, 8), TRY(chroot, 1), TRY(clock_adjtime, 0, 1),
    TRY(clock_settime, 0, 1), TRY(clone3, 1, 0), NAMED("clone CLONE_NEWUSER", clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
    NAMED("clone CLONE_NEWNS", clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0), NAMED("clone", clone, SIGCHLD, 0, 0, 0, 0),
    TRY(delete_module, 1, 0), TRY(fanotify_init, 0, 0), TRY(finit_module, -1, 1, 0), TRY(fsconfig, -1, 0, 0, 0, 0),
    TRY(fsmount, -1, 0, 0), TRY(fsopen, 1, 0), TRY(fspick, -1, 1, 0), TRY(get_mempolicy, 0, 0, 0, 0, 0), TRY(init_module, 1, 0, 1),
    TRY(io_uring_setup, 1, 1), TRY(kcmp, 1, 1, 99, 0, 0), TRY(kexec_load, 0, 99, 1, 0), TRY(keyctl, 0, -3, 0),
    TRY(landlock_create_ruleset, 0, 0, 1), TRY(lookup_dcookie, 1, 1, 1), TRY(mbind, 0, 0, 99, 0, 0, 0), TRY(memfd_create, 1, 0),
    TRY(migrate_pages, 1, 0, 0, 0), NAMED("mount", mount, 1, 1, 1, 0, 0), TRY(mount_setattr, -1, 1, 0, 1, 32), TRY(move_mount, -1, 1, -1, 1, 0),
    TRY(move_pages, 1, 0, 0, 0, 0, 0), TRY(name_to_handle_at, -1, 1, 1, 1, 0), TRY(open_by_handle_at, -1, 1, 0), TRY(open_tree, -1, 1, 0),
    TRY(perf_event_open, 1, 0, 0, -1, 0), NAMED("personality UNAME26", personality, 0x20000),
    NAMED("personality ADDR_NO_RANDOMIZE", personality, 0x40000), NAMED("personality query", personality, 0xffffffff),
    TRY(pidfd_getfd, -1, 0, 0), TRY(pidfd_open, 0, 0), TRY(pivot_root, 1, 1), TRY(process_madvise, -1, 1, 1, 0, 0),
    TRY(process_vm_readv, 1, 1, 1, 1, 1, 0), NAMED("ptrace PTRACE_TRACEME", ptrace, 0, 0, 0, 0), NAMED("ptrace PTRACE_ATTACH", ptrace, 16, 0x3fffff, 0, 0),
    TRY(quotactl, -1, 1, 0, 0), TRY(quotactl_fd, -1, -1, 0, 0), TRY(reboot, 0, 0, 0, 0), TRY(request_key, 1, 1, 0, 0), TRY(seccomp, 2, 0, 1),
    TRY(set_mempolicy, 99, 0, 0), TRY(setdomainname, 1, 1), TRY(sethostname, 1, 1), TRY(setns, -1, 0), TRY(settimeofday, 1, 0), TRY(setuid, 12345),
    NAMED("socket AF_ALG", socket, 38, SOCK_SEQPACKET, 0), NAMED("socket AF_INET raw", socket, AF_INET, SOCK_RAW, 1),
    NAMED("socket AF_NETLINK", socket, AF_NETLINK, SOCK_RAW, 0), NAMED("socket AF_PACKET", socket, AF_PACKET, SOCK_RAW, 0),
    NAMED("socket AF_VSOCK", socket, 40, SOCK_STREAM, 0), TRY(swapoff, 1), TRY(swapon, 1, 0), TRY(syslog, 10, 0, 0), TRY(umount2, 1, 0),
    NAMED("unshare 0", unshare, 0), NAMED("unshare CLONE_NEWNS", unshare, CLONE_NEWNS), NAMED("unshare CLONE_NEWUSER", unshare, CLONE_NEWUSER),
    TRY(userfaultfd, 0x80000), TRY(vhangup), IF_X86(TRY(iopl, 3), TRY(ioperm, 0, 1, 1), TRY(modify_ldt, 99, 0, 0), TRY(uselib, 1), TRY(ustat, 0, 1),
    TRY(sysfs, 9, 0, 0), TRY(create_module, 1, 0), TRY(arch_prctl, 0x9999, 0), TRY(mknod, 1, 0, 0),) {"unknown 999", 999, {0}},
};

static void try_one(const struct try *one) {
  fflush(stdout);
  int pipe_fds[2];
  if (pipe(pipe_fds) < 0) return say("call", one->name, "no pipe");
  pid_t pid = fork();
  if (pid == 0) {
    errno = 0;
    long result = syscall(one->number, one->args[0], one->args[1], one->args[2], one->args[3], one->args[4], one->args[5]);
    if (result == 0 && one->number == SYS_clone) _exit(0); /* the child's child */
    const char *text = result_of(result);
    if (write(pipe_fds[1], text, strlen(text)) < 0) _exit(1);
    _exit(0);
  }
  close(pipe_fds[1]);
  char text[64];
  int status = 0;
  ssize_t length = read(pipe_fds[0], text, sizeof text - 1);
  close(pipe_fds[0]);
  text[length < 0 ? 0 : length] = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
  say("call", one->name, text);
}

/* Makes a device node and, where that goes, opens it: the device cgroup's say, not the filter's. */
static void try_device(const char *label, mode_t type, unsigned major_number, unsigned minor_number) {
  const char *path = "/probe-device";
  int made = mknod(path, type | 0600, makedev(major_number, minor_number));
  if (made < 0) return sayf("device", label, "mknod %s", errno_name(errno));
  int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  sayf("device", label, "mknod ok, open %s", result_of(fd));
  if (fd >= 0) close(fd);
  unlink(path);
}

static void calls(void) {
  for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) try_one(&tries[i]);
  try_device("null", S_IFCHR, 1, 3);
  try_device("mem", S_IFCHR, 1, 1);
  try_device("kmsg", S_IFCHR, 1, 11);
  try_device("fuse", S_IFCHR, 10, 229);
  try_device("tun", S_IFCHR, 10, 200);
  try_device("loop0", S_IFBLK, 7, 0);
  try_device("sda", S_IFBLK, 8, 0);
}
