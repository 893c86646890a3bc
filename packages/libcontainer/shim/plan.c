/* Reading plans: every length is checked, every string is terminated, nothing is trusted. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

void reader_init(struct reader *r, const void *data, size_t length) {
  r->at = data;
  r->end = r->at + length;
  r->bad = false;
}

static const uint8_t *take(struct reader *r, size_t n) {
  if (r->bad || (size_t)(r->end - r->at) < n) {
    r->bad = true;
    return NULL;
  }
  const uint8_t *at = r->at;
  r->at += n;
  return at;
}

uint16_t get_u16(struct reader *r) {
  uint16_t v = 0;
  const uint8_t *p = take(r, sizeof v);
  if (p) memcpy(&v, p, sizeof v);
  return v;
}

uint32_t get_u32(struct reader *r) {
  uint32_t v = 0;
  const uint8_t *p = take(r, sizeof v);
  if (p) memcpy(&v, p, sizeof v);
  return v;
}

uint64_t get_u64(struct reader *r) {
  uint64_t v = 0;
  const uint8_t *p = take(r, sizeof v);
  if (p) memcpy(&v, p, sizeof v);
  return v;
}

const char *get_str(struct reader *r) {
  uint32_t n = get_u32(r);
  const uint8_t *p = r->bad || n > PLAN_MAX ? NULL : take(r, (size_t)n + 1);
  if (!p || p[n] != 0 || memchr(p, 0, n)) {
    r->bad = true;
    return "";
  }
  return (const char *)p;
}

static const uint8_t *get_bytes(struct reader *r, uint32_t *length) {
  *length = get_u32(r);
  const uint8_t *p = take(r, *length);
  if (!p) *length = 0;
  return p;
}

const char **get_list(struct reader *r, uint32_t *count) {
  uint32_t n = get_u32(r);
  /* each entry takes at least five bytes, so a lying count cannot make us allocate more than the plan's size */
  if (r->bad || n > PLAN_MAX / 5 || n > (size_t)(r->end - r->at) / 5) {
    r->bad = true;
    return NULL;
  }
  const char **list = calloc((size_t)n + 1, sizeof *list);
  if (!list) {
    r->bad = true;
    return NULL;
  }
  for (uint32_t i = 0; i < n; i++) list[i] = get_str(r);
  if (r->bad) {
    free(list);
    return NULL;
  }
  if (count) *count = n;
  return list;
}

unsigned next_record(struct reader *r, struct reader *body) {
  if (r->bad || r->at == r->end) return 0;
  uint16_t kind = get_u16(r);
  uint16_t zero = get_u16(r);
  uint32_t length = get_u32(r);
  const uint8_t *p = take(r, length);
  if (!p || zero != 0 || kind == 0) {
    r->bad = true;
    return 0;
  }
  reader_init(body, p, length);
  return kind;
}

bool parse_process_record(struct process_plan *p, unsigned kind, struct reader *r) {
  switch (kind) {
    case REC_ARGS: p->argv = get_list(r, &p->argc); break;
    case REC_ENV: p->envp = get_list(r, &p->envc); break;
    case REC_CWD:
      p->flags = get_u32(r);
      p->cwd = get_str(r);
      break;
    case REC_USER:
      p->uid = get_u32(r);
      p->gid = get_u32(r);
      p->umask = (int32_t)get_u32(r);
      p->ngids = get_u32(r);
      if (p->ngids > MAX_LIST) return false;
      p->gids = take(r, (size_t)p->ngids * 4);
      break;
    case REC_CAPS:
      p->has_caps = true;
      p->bounding = get_u64(r);
      p->effective = get_u64(r);
      p->inheritable = get_u64(r);
      p->permitted = get_u64(r);
      p->ambient = get_u64(r);
      break;
    case REC_RLIMIT: {
      if (p->nrlimits == 32) return false;
      struct rlimit_plan *l = &p->rlimits[p->nrlimits++];
      l->resource = (int)get_u32(r);
      l->soft = get_u64(r);
      l->hard = get_u64(r);
      break;
    }
    case REC_SECCOMP:
      p->seccomp_flags = get_u32(r);
      p->seccomp_listener = get_str(r);
      p->seccomp_metadata = get_str(r);
      p->seccomp = get_bytes(r, &p->seccomp_length);
      if (p->seccomp_length % 8 || p->seccomp_length > 8 * 4096) return false;
      break;
    case REC_OOM_SCORE:
      p->has_oom_score = true;
      p->oom_score = (int32_t)get_u32(r);
      break;
    case REC_PERSONALITY:
      p->has_personality = true;
      p->personality = get_u64(r);
      break;
    case REC_SCHEDULER:
      p->has_scheduler = true;
      p->sched_policy = get_u32(r);
      p->sched_nice = (int32_t)get_u32(r);
      p->sched_priority = get_u32(r);
      p->sched_flags = get_u64(r);
      p->sched_runtime = get_u64(r);
      p->sched_deadline = get_u64(r);
      p->sched_period = get_u64(r);
      break;
    case REC_IO_PRIORITY:
      p->has_io_priority = true;
      p->io_priority = get_u32(r);
      break;
    case REC_LABELS:
      p->apparmor = get_str(r);
      p->selinux = get_str(r);
      break;
    case REC_AFFINITY: p->affinity = get_bytes(r, &p->affinity_length); break;
    default: return false;
  }
  return !r->bad;
}

static bool finish_process(struct process_plan *p) {
  static const char *none[] = {NULL};
  if (!p->argv || p->argc == 0) return false;
  if (!p->envp) p->envp = none;
  if (!p->cwd) p->cwd = "/";
  return true;
}

bool parse_process(struct process_plan *p, const void *data, size_t length) {
  struct reader r, body;
  memset(p, 0, sizeof *p);
  p->umask = -1;
  reader_init(&r, data, length);
  for (unsigned kind; (kind = next_record(&r, &body));)
    if (!parse_process_record(p, kind, &body)) return false;
  return !r.bad && finish_process(p);
}

void inherit_process(struct process_plan *p, const struct process_plan *init) {
  if (!(p->flags & PROC_INHERIT)) return;
  p->seccomp = init->seccomp;
  p->seccomp_length = init->seccomp_length;
  p->seccomp_flags = init->seccomp_flags;
  p->seccomp_listener = init->seccomp_listener;
  p->seccomp_metadata = init->seccomp_metadata;
  p->has_personality = init->has_personality;
  p->personality = init->personality;
}

static bool parse_hook(struct plan *plan, struct reader *r) {
  if (plan->nhooks == 256) return false;
  struct hook_plan *grown = realloc(plan->hooks, (plan->nhooks + 1) * sizeof *grown);
  if (!grown) return false;
  plan->hooks = grown;
  struct hook_plan *h = &grown[plan->nhooks++];
  h->stage = get_u32(r);
  h->timeout = get_u32(r);
  h->path = get_str(r);
  h->argv = get_list(r, NULL);
  h->envp = r->bad ? NULL : get_list(r, NULL);
  return !r->bad;
}

static bool parse_record(struct plan *plan, unsigned kind, struct reader *r) {
  switch (kind) {
    case REC_CONFIG:
      plan->flags = get_u32(r);
      plan->clone_flags = get_u32(r);
      plan->rows = get_u16(r);
      plan->columns = get_u16(r);
      plan->keyring = get_str(r);
      break;
    case REC_EXIT_FILE: plan->exit_file = get_str(r); break;
    case REC_LOG:
      plan->has_log = true;
      plan->log_max_size = get_u64(r);
      plan->log_max_file = get_u32(r);
      plan->log_path = get_str(r);
      plan->log_attrs = get_str(r);
      break;
    case REC_JOIN: {
      if (plan->njoins == 8) return false;
      struct join_plan *j = &plan->joins[plan->njoins++];
      j->type = get_u32(r);
      j->path = get_str(r);
      break;
    }
    case REC_UID_MAP: plan->uid_map = get_str(r); break;
    case REC_GID_MAP: plan->gid_map = get_str(r); break;
    case REC_CGROUP_PROCS:
      if (plan->nprocs == 16) return false;
      plan->procs[plan->nprocs++] = get_str(r);
      break;
    case REC_CGROUP_DIR: plan->cgroup_dir = get_str(r); break;
    case REC_OOM:
      plan->oom_kind = get_u32(r);
      plan->oom_path = get_str(r);
      break;
    case REC_TIME_OFFSETS: plan->time_offsets = get_str(r); break;
    case REC_HOOK: return parse_hook(plan, r);
    case REC_STATE_JSON: plan->state_json = get_str(r); break;
    case REC_ROOTFS:
      plan->rootfs = r->at;
      plan->rootfs_length = (uint32_t)(r->end - r->at);
      break;
    case REC_OCI:
      plan->oci = true;
      plan->oci_preserve_fds = get_u32(r);
      plan->oci_exec_pid = (int32_t)get_u32(r);
      plan->oci_detach = get_u32(r) != 0;
      plan->oci_fifo = get_str(r);
      plan->oci_console_socket = get_str(r);
      if (plan->oci_preserve_fds > 4096) return false;
      break;
    case REC_EXTERNAL:
      plan->external = true;
      plan->external_create = get_list(r, NULL);
      plan->external_start = r->bad ? NULL : get_list(r, NULL);
      plan->external_environment = r->bad ? NULL : get_list(r, NULL);
      plan->external_directory = get_str(r);
      if (r->bad || !plan->external_create[0] || !plan->external_start[0]) return false;
      break;
    default: return parse_process_record(&plan->process, kind, r);
  }
  return !r->bad;
}

bool parse_plan(struct plan *plan, const void *data, size_t length) {
  struct reader r, body;
  memset(plan, 0, sizeof *plan);
  plan->process.umask = -1;
  reader_init(&r, data, length);
  if (get_u32(&r) != PLAN_MAGIC) return false;
  for (unsigned kind; (kind = next_record(&r, &body));)
    if (!parse_record(plan, kind, &body)) return false;
  if (r.bad) return false;
  if (!plan->keyring) plan->keyring = "";
  if (!plan->state_json) plan->state_json = "";
  return plan->external || finish_process(&plan->process);
}
