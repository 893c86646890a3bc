/* Docker's json-file log: one object a line, lines of more than 16 KiB in parts, rotation by rename. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define PART 16384
#define BATCH (512 * 1024)
/* the worst line: 16 KiB of bytes that each become six, and the frame around them */
#define ROOM (PART * 6 + 256)

static char *batch; /* mapped while there is output, given back when idle */
static size_t filled;

/* What each byte becomes: 0 itself, 1 more than that. */
static unsigned char special[256];

static void make_table(void) {
  for (int c = 0; c < 256; c++)
    special[c] = c < 0x20 || c >= 0x80 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&';
}

#define FLAGS (O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW)

static void adopt_file(struct log_file *log, int fd) {
  struct stat st;
  log->fd = fd;
  log->put_off = 0;
  log->size = log->fd >= 0 && fstat(log->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void open_file(struct log_file *log) { adopt_file(log, open(log->path, FLAGS, 0640)); }

bool log_open(struct log_file *log, const char *path, const char *attrs, uint64_t max_size, uint32_t max_file) {
  make_table();
  log->path = strdup(path);
  log->attrs = strdup(attrs);
  log->max_size = max_size;
  log->max_file = max_file ? max_file : 1;
  if (!log->path || !log->attrs) return errno = ENOMEM, false;
  open_file(log);
  return log->fd >= 0;
}

void log_reopen(struct log_file *log) {
  if (!log->path) return;
  log_flush(log);
  if (log->fd >= 0) close(log->fd);
  open_file(log);
}

/* A full disk loses lines, as with Docker; it must not stop the container. Whole ones: the next begins at a line's begin. */
void log_flush(struct log_file *log) {
  size_t written = 0, whole = 0;
  if (!filled || log->fd < 0) {
    filled = 0;
    return;
  }
  while (written < filled) {
    ssize_t n = write(log->fd, batch + written, filled - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += (size_t)n;
  }
  if (written < filled) {
    struct stat st;
    for (whole = written; whole > 0 && batch[whole - 1] != '\n';) whole--;
    if (fstat(log->fd, &st) == 0) {
      log->size = (uint64_t)st.st_size;
      size_t cut = written - whole;
      if (cut && (uint64_t)cut <= log->size && ftruncate(log->fd, (off_t)(log->size - cut)) == 0) log->size -= cut;
    }
  }
  filled = 0;
}

void log_release(void) {
  if (batch) munmap(batch, BATCH);
  batch = NULL;
}

/* Rotation, readers and the daemon, which compresses rotated files, agree by flock(2) on the directory. They hold it for
   a few renames; rather than wait for one who was stopped just then, the shim goes on with the file it has. */
static bool lock_directory(const struct log_file *log, int *lock) {
  char directory[4200];
  snprintf(directory, sizeof directory, "%s", log->path);
  char *slash = strrchr(directory, '/');
  if (slash) slash[slash == directory] = 0;
  *lock = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
  close(*lock);
  return false;
}

/* A slot has a plain file, a compressed one, or, where the daemon died between making the one and removing the other,
   both with the same lines: then the plain one is kept, so that they never get apart. */
static void move_slot(const struct log_file *log, uint32_t slot) {
  char plain[4220], packed[4224], to[4224];
  snprintf(plain, sizeof plain, "%s.%u", log->path, slot);
  snprintf(packed, sizeof packed, "%s.%u.gz", log->path, slot);
  bool is_plain = access(plain, F_OK) == 0;
  if (is_plain) unlink(packed);
  if (slot == log->max_file - 1) {
    unlink(is_plain ? plain : packed);
    return;
  }
  snprintf(to, sizeof to, is_plain ? "%s.%u" : "%s.%u.gz", log->path, slot + 1);
  rename(is_plain ? plain : packed, to); /* what is not there yet need not move */
}

static void rotate(struct log_file *log) {
  log_flush(log);
  if (log->max_file < 2) {
    if (ftruncate(log->fd, 0) == 0) log->size = 0;
    return;
  }
  int lock;
  if (!lock_directory(log, &lock)) {
    log->put_off = log->size + 4096;
    return;
  }
  /* the new one first: where there is no room for it, the old one goes on */
  char fresh[4220];
  snprintf(fresh, sizeof fresh, "%s.tmp", log->path);
  int fd = open(fresh, FLAGS | O_TRUNC, 0640);
  if (fd < 0) {
    log->put_off = log->size + 65536;
    if (lock >= 0) close(lock);
    return;
  }
  for (uint32_t i = log->max_file - 1; i > 0; i--) move_slot(log, i);
  char to[4220];
  snprintf(to, sizeof to, "%s.1", log->path);
  rename(log->path, to);
  if (rename(fresh, log->path) < 0) { /* whoever took it away: the path is what counts */
    close(fd);
    fd = open(log->path, FLAGS, 0640);
  }
  close(log->fd);
  adopt_file(log, fd);
  if (lock >= 0) close(lock);
}

/* Bytes of a well-formed UTF-8 sequence at `p`, 0 where it is none (surrogates and overlong forms are none). */
static unsigned utf8_length(const uint8_t *p, size_t left) {
  uint8_t c = p[0];
  unsigned n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (!n || left < n) return 0;
  uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  if (p[1] < low || p[1] > high) return 0;
  for (unsigned i = 2; i < n; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  return n;
}

static char *put_escape(char *out, uint8_t c) {
  static const char hex[] = "0123456789abcdef";
  memcpy(out, "\\u00", 4);
  out[4] = hex[c >> 4];
  out[5] = hex[c & 15];
  return out + 6;
}

#define ONES 0x0101010101010101ULL
#define HIGHS 0x8080808080808080ULL
static inline uint64_t equals(uint64_t v, uint8_t c) {
  uint64_t x = v ^ (ONES * c);
  return (x - ONES) & ~x & HIGHS;
}
/* Whether any of eight bytes needs more than copying. May say yes too often, never no wrongly. */
static inline bool any_special(uint64_t v) {
  return (v & HIGHS) || ((v - ONES * 0x20) & ~v & HIGHS) || equals(v, '"') || equals(v, '\\') || equals(v, '<') ||
         equals(v, '>') || equals(v, '&');
}

static char *put_json(char *out, const uint8_t *p, size_t n) {
  size_t i = 0;
  while (i < n) {
    while (i + 8 <= n) {
      uint64_t v;
      memcpy(&v, p + i, 8);
      if (any_special(v)) break;
      memcpy(out, &v, 8);
      out += 8;
      i += 8;
    }
    if (i == n) break;
    uint8_t c = p[i];
    if (!special[c]) {
      *out++ = (char)c;
      i++;
      continue;
    }
    if (c < 0x80) {
      i++;
      if (c == '"' || c == '\\')
        *out++ = '\\', *out++ = (char)c;
      else if (c == '\n')
        *out++ = '\\', *out++ = 'n';
      else if (c == '\r')
        *out++ = '\\', *out++ = 'r';
      else
        out = put_escape(out, c);
      continue;
    }
    unsigned length = utf8_length(p + i, n - i);
    if (!length) {
      memcpy(out, "\\ufffd", 6);
      out += 6;
      i++;
    } else if (length == 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] | 1) == 0xa9) {
      memcpy(out, "\\u202", 5);
      out[5] = (char)('8' + (p[i + 2] & 1));
      out += 6;
      i += 3;
    } else {
      memcpy(out, p + i, length);
      out += length;
      i += length;
    }
  }
  return out;
}

struct stamp {
  int64_t seconds;
  long nanoseconds;
  char text[40];
  size_t length;
};

static void set_stamp(struct stamp *s, int64_t seconds, long nanoseconds) {
  s->seconds = seconds;
  s->nanoseconds = nanoseconds;
  s->length = format_time(s->text, seconds, nanoseconds);
}

/* One line or part of one, in up to two pieces: what was carried over and what just came. */
static void put_line(struct log_file *log, bool is_stderr, const uint8_t *head, size_t head_length, const uint8_t *tail,
                     size_t tail_length, bool newline, const struct stamp *stamp) {
  size_t attrs = *log->attrs ? strlen(log->attrs) : 0;
  if (!batch) {
    void *mapped = mmap(NULL, BATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return;
    batch = mapped;
  }
  if (attrs + ROOM > BATCH) attrs = 0;
  if (filled + attrs + ROOM > BATCH) log_flush(log);
  if (log->max_size && log->size >= log->max_size && log->size >= log->put_off) rotate(log);
  char *start = batch + filled, *out = start;
  memcpy(out, "{\"log\":\"", 8);
  out += 8;
  if (head_length && tail_length && (head[head_length - 1] & 0x80)) {
    /* a character may lie across the seam */
    uint8_t whole[PART];
    memcpy(whole, head, head_length);
    memcpy(whole + head_length, tail, tail_length);
    out = put_json(out, whole, head_length + tail_length);
  } else {
    out = put_json(out, head, head_length);
    out = put_json(out, tail, tail_length);
  }
  if (newline) *out++ = '\\', *out++ = 'n';
  memcpy(out, is_stderr ? "\",\"stream\":\"stderr\"" : "\",\"stream\":\"stdout\"", 19);
  out += 19;
  if (attrs) {
    memcpy(out, ",\"attrs\":", 9);
    memcpy(out + 9, log->attrs, attrs);
    out += 9 + attrs;
  }
  memcpy(out, ",\"time\":\"", 9);
  memcpy(out + 9, stamp->text, stamp->length);
  out += 9 + stamp->length;
  memcpy(out, "\"}\n", 3);
  out += 3;
  filled += (size_t)(out - start);
  log->size += (size_t)(out - start);
}

static struct timespec last;

/* Lines that were read in one go bear times one nanosecond apart: as true as a clock asked once per line, and no two
   the same for who goes on reading "since" the last one. */
static void now_stamp(struct stamp *s) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t ahead = (int64_t)(last.tv_sec - now.tv_sec) * 1000000000 + (last.tv_nsec - now.tv_nsec);
  if (ahead >= 0 && ahead < 10000000) { /* more than that: the clock was set back */
    now = last;
    if (++now.tv_nsec == 1000000000) now.tv_nsec = 0, now.tv_sec++;
  }
  last = now;
  set_stamp(s, now.tv_sec, now.tv_nsec);
}

static void next_stamp(struct stamp *s) {
  if (++s->nanoseconds == 1000000000) s->nanoseconds = 0, s->seconds++;
  last.tv_sec = (time_t)s->seconds;
  last.tv_nsec = s->nanoseconds;
  /* mostly one digit is another: "2006-01-02T15:04:05.999999999Z", whose zeros at the end are not written */
  char *digit = s->text + 28;
  if (s->length == 30 && *digit >= '1' && *digit < '9')
    ++*digit;
  else
    set_stamp(s, s->seconds, s->nanoseconds);
}

/* All parts of a line bear the time of the first. */
static void put_part(struct log_file *log, struct log_line *line, bool is_stderr, const uint8_t *data, size_t length,
                     bool end, const struct stamp *now) {
  struct stamp first;
  if (line->partial) set_stamp(&first, line->partial_seconds, line->partial_nanoseconds);
  put_line(log, is_stderr, (const uint8_t *)line->carry, line->carried, data, length, end, line->partial ? &first : now);
  if (!end && !line->partial) {
    line->partial_seconds = now->seconds;
    line->partial_nanoseconds = now->nanoseconds;
  }
  line->partial = !end;
  line->carried = 0;
}

void log_output(struct log_file *log, struct log_line *line, bool is_stderr, const uint8_t *data, size_t length) {
  if (log->fd < 0 || !length) return;
  struct stamp now;
  now_stamp(&now);
  const uint8_t *at = data, *end = data + length;
  while (at < end) {
    size_t room = PART - line->carried, left = (size_t)(end - at);
    const uint8_t *newline = memchr(at, '\n', left < room ? left : room);
    if (newline) {
      put_part(log, line, is_stderr, at, (size_t)(newline - at), true, &now);
      at = newline + 1;
      next_stamp(&now);
    } else if (left >= room) {
      put_part(log, line, is_stderr, at, room, false, &now);
      at += room;
      next_stamp(&now);
    } else {
      if (!line->carry && !(line->carry = malloc(PART))) return;
      memcpy(line->carry + line->carried, at, left);
      line->carried += (unsigned)left;
      at = end;
    }
  }
  if (!line->carried && line->carry) {
    free(line->carry);
    line->carry = NULL;
  }
}

void log_end(struct log_file *log, struct log_line *line, bool is_stderr) {
  if (log->fd >= 0 && line->carried) {
    struct stamp now;
    now_stamp(&now);
    put_part(log, line, is_stderr, NULL, 0, false, &now);
  }
  free(line->carry);
  line->carry = NULL;
  line->carried = 0;
  log_flush(log);
}
