/* Mounting by the descriptor-based calls: nothing is named twice, so nothing can be swapped in between. */
#ifndef GANTRY_MOUNT_H
#define GANTRY_MOUNT_H

#include "plan.h"
#include "shim.h"

#define BIND_RECURSIVE 1u
#define BIND_IDMAP 2u
#define BIND_IDMAP_RECURSIVE 4u
#define BIND_OPTIONAL 8u

#define OVERLAY_VOLATILE 1u

#define MOUNT_COPY_UP 1u
#define MOUNT_NO_LINKS 2u /* proc and sysfs: an image must not choose where they go */

struct attributes {
  uint64_t set, clear, propagation;
  bool recursive, propagation_recursive;
};

struct bind_step {
  const char *source, *target;
  struct attributes own, all; /* of the mount itself; of all mounts below too */
  uint64_t propagation;
  bool propagation_recursive;
  uint32_t flags;
  const char *uid_map, *gid_map;
};
struct overlay_step {
  const char *at, *upper, *work;
  uint32_t flags, nlower;
  const char **lower, **options;
};
struct mount_step {
  const char *type, *source, *target;
  uint64_t set, clear, propagation;
  uint32_t flags;
  const char **options;
};

void read_bind(struct reader *r, struct bind_step *b);
void read_overlay(struct reader *r, struct overlay_step *o);
void read_mount(struct reader *r, struct mount_step *m);

/* A detached mount, or -1 with errno: ENOSYS where the kernel (before 6.7) takes layers by mount(2) only. */
int overlay_detached(const struct overlay_step *o);
/* Attached at `o->at`. */
int overlay_by_mount(const struct overlay_step *o);
int overlay_tree(const struct overlay_step *o);
int bind_tree(const struct bind_step *b);
int directory_tree(const char *path);
/* A detached mount of a new file system; fails by itself with the target in the message. */
int filesystem_tree(const struct mount_step *m);
/* Attaches `tree` at the opened directory or file `target` and gives it its attributes. */
int attach_tree(int tree, int target);
int set_attributes(int tree, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive);
/* Fills a new tmpfs (detached or not) with what `from` holds. */
bool copy_up(int from, int to);

#endif
