/* Whether the kernel's out-of-memory killer struck: "oom_kill N" in v1's memory.oom_control and v2's memory.events. */
#include <stdlib.h>
#include <string.h>

#include "shim.h"

static char *path;

static uint64_t kills(void) {
  char text[1024];
  if (!path || !read_small_file(path, text, sizeof text)) return 0;
  for (char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
    if (!strncmp(line, "oom_kill ", 9)) return strtoull(line + 9, NULL, 10);
  return 0;
}

static uint64_t before;

void oom_watch(const struct plan *plan) {
  if (!plan->oom_path || !*plan->oom_path) return;
  path = strdup(plan->oom_path);
  before = kills();
}

void oom_check(void) {
  if (kills() > before) shim.oom_killed = true;
}
