/* The plan: what TypeScript compiled from the OCI spec. Layout and numbers are twins of ../plan/format.ts. */
#ifndef GANTRY_PLAN_H
#define GANTRY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_MAGIC 0x314e4c50u /* "PLN1" */
#define PLAN_MAX (16u << 20)
#define MAX_LIST 65536u

/* Records of a plan. */
enum {
  REC_CONFIG = 1,
  REC_EXIT_FILE,
  REC_LOG,
  REC_JOIN,
  REC_UID_MAP,
  REC_GID_MAP,
  REC_CGROUP_PROCS,
  REC_OOM,
  REC_TIME_OFFSETS,
  REC_HOOK,
  REC_STATE_JSON,
  REC_ROOTFS,
  REC_OCI,
  REC_EXTERNAL,
  REC_CGROUP_DIR,

  REC_ARGS = 40,
  REC_ENV,
  REC_CWD,
  REC_USER,
  REC_CAPS,
  REC_RLIMIT,
  REC_SECCOMP,
  REC_OOM_SCORE,
  REC_PERSONALITY,
  REC_SCHEDULER,
  REC_IO_PRIORITY,
  REC_LABELS,
  REC_AFFINITY,
};

/* Steps of REC_ROOTFS, done in order by the init process. */
enum {
  STEP_PROPAGATION = 1,
  STEP_ROOT_OVERLAY,
  STEP_ROOT_DIR,
  STEP_MOUNT,
  STEP_BIND,
  STEP_DEVICE,
  STEP_SYMLINK,
  STEP_MASK,
  STEP_READONLY,
  STEP_SYSCTL,
  STEP_CGROUP_NS,
  STEP_CONSOLE,
  STEP_ROOT_READONLY,
  STEP_PIVOT,
  STEP_HOSTNAME,
  STEP_DOMAINNAME,
  STEP_HOOKS_RUNTIME,
  STEP_HOOKS_CONTAINER,
  STEP_MKDIR,
  STEP_REMOUNT,
  STEP_CHROOT,
};

/* REC_CONFIG flags. */
#define CFG_TERMINAL 1u
#define CFG_OPEN_STDIN 2u
#define CFG_STDIN_ONCE 4u
#define CFG_STAGED 8u     /* namespaces are entered by an intermediate process */
#define CFG_NEW_PIDNS 16u /* init's death takes everything with it */
#define CFG_KEYRING 32u
#define CFG_EARLY 64u /* of an exec: made at once, it waits for its start */

/* REC_CWD flags. */
#define PROC_MKDIR_CWD 1u
#define PROC_NO_NEW_PRIVS 2u
#define PROC_INHERIT 4u /* an exec: under init's filter and personality */

struct reader {
  const uint8_t *at, *end;
  bool bad;
};
void reader_init(struct reader *r, const void *data, size_t length);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
/* A string in place, NUL-terminated and without inner NULs; "" where the data is bad. */
const char *get_str(struct reader *r);
/* A malloc'd NULL-terminated list of strings in place; NULL where the data is bad. */
const char **get_list(struct reader *r, uint32_t *count);
/* The next record: its kind, or 0 at the end or on bad data. */
unsigned next_record(struct reader *r, struct reader *body);

struct rlimit_plan {
  int resource;
  uint64_t soft, hard;
};

struct process_plan {
  const char **argv, **envp;
  uint32_t argc, envc;
  const char *cwd;
  unsigned flags;
  uint32_t uid, gid;
  int umask; /* -1: as it is */
  uint32_t ngids;
  const uint8_t *gids;
  bool has_caps;
  uint64_t bounding, effective, inheritable, permitted, ambient;
  struct rlimit_plan rlimits[32];
  unsigned nrlimits;
  const uint8_t *seccomp;
  uint32_t seccomp_length, seccomp_flags;
  const char *seccomp_listener, *seccomp_metadata;
  bool has_oom_score;
  int oom_score;
  bool has_personality;
  uint64_t personality;
  bool has_scheduler;
  uint32_t sched_policy, sched_priority;
  int32_t sched_nice;
  uint64_t sched_flags, sched_runtime, sched_deadline, sched_period;
  bool has_io_priority;
  uint32_t io_priority;
  const char *apparmor, *selinux;
  const uint8_t *affinity;
  uint32_t affinity_length;
};

struct join_plan {
  uint32_t type;
  const char *path;
};

struct hook_plan {
  uint32_t stage, timeout; /* seconds; 0 for none */
  const char *path;
  const char **argv, **envp;
};
enum { HOOK_PRESTART = 1, HOOK_CREATE_RUNTIME, HOOK_CREATE_CONTAINER, HOOK_START_CONTAINER, HOOK_POSTSTART, HOOK_POSTSTOP };

struct plan {
  unsigned flags;
  uint32_t clone_flags;
  uint16_t rows, columns;
  const char *keyring;
  const char *exit_file;
  bool has_log;
  const char *log_path, *log_attrs;
  uint64_t log_max_size;
  uint32_t log_max_file;
  struct join_plan joins[8];
  unsigned njoins;
  const char *uid_map, *gid_map;
  const char *procs[16];
  unsigned nprocs;
  const char *cgroup_dir; /* v2 directory for clone3, or NULL */
  uint32_t oom_kind;
  const char *oom_path;
  const char *time_offsets;
  struct hook_plan *hooks;
  unsigned nhooks;
  const char *state_json;
  const uint8_t *rootfs;
  uint32_t rootfs_length;
  /* The command line runtime's mode: no supervision, init inherits stdio. */
  bool oci;
  const char *oci_fifo, *oci_console_socket;
  uint32_t oci_preserve_fds;
  int32_t oci_exec_pid; /* join this process's namespaces instead of making some; 0 for create */
  bool oci_detach;
  /* An external OCI runtime: its commands, its environment, and where its sockets and pid files lie. */
  bool external;
  const char **external_create, **external_start, **external_environment;
  const char *external_directory;
  struct process_plan process;
};

bool parse_process_record(struct process_plan *p, unsigned kind, struct reader *r);
/* Fills `plan` with pointers into `data`, which must outlive it. False where the data is not a plan. */
bool parse_plan(struct plan *plan, const void *data, size_t length);
bool parse_process(struct process_plan *p, const void *data, size_t length);
/* Gives an exec what it takes over from init. */
void inherit_process(struct process_plan *p, const struct process_plan *init);

#endif
