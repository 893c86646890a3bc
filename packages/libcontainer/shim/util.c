/* Small helpers without any policy. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

const char *error_text(int error) {
  static char text[128];
  switch (error) { /* where the C library's words are not Go's */
    case EBUSY: return "device or resource busy";
    case ELOOP: return "too many levels of symbolic links";
    case EINVAL: return "invalid argument";
    case ENXIO: return "no such device or address";
    case EPERM: return "operation not permitted";
    case ENAMETOOLONG: return "file name too long";
    case EMFILE: return "too many open files";
    case ENOMEM: return "cannot allocate memory";
    case EAGAIN: return "resource temporarily unavailable";
    default: break;
  }
  snprintf(text, sizeof text, "%s", strerror(error));
  if (text[0] >= 'A' && text[0] <= 'Z') text[0] = (char)(text[0] + 32);
  return text;
}

bool write_all(int fd, const void *data, size_t length) {
  const char *p = data;
  while (length) {
    ssize_t n = write(fd, p, length);
    if (n < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    p += n;
    length -= (size_t)n;
  }
  return true;
}

int write_file_at(int dir, const char *path, const char *text) {
  int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  size_t length = strlen(text);
  /* one write: the kernel's knobs take a value whole or not at all */
  ssize_t n = write(fd, text, length);
  int result = n < 0 ? -errno : (size_t)n == length ? 0 : -EIO;
  close(fd);
  return result;
}

size_t read_small_file(const char *path, char *buffer, size_t size) {
  size_t total = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    for (ssize_t n; total < size - 1 && (n = read(fd, buffer + total, size - 1 - total)) > 0;) total += (size_t)n;
    close(fd);
  }
  buffer[total] = 0;
  return total;
}

void set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static char *two_digits(char *out, unsigned value) {
  out[0] = (char)('0' + value / 10 % 10);
  out[1] = (char)('0' + value % 10);
  return out + 2;
}

size_t format_time(char *out, int64_t seconds, long nanoseconds) {
  /* civil date from days, after Howard Hinnant's algorithm; gmtime is slow and not needed */
  int64_t days = seconds / 86400;
  unsigned rest = (unsigned)(seconds % 86400);
  int64_t z = days + 719468;
  int64_t era = z / 146097;
  unsigned day_of_era = (unsigned)(z - era * 146097);
  unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  unsigned mp = (5 * day_of_year + 2) / 153;
  unsigned day = day_of_year - (153 * mp + 2) / 5 + 1;
  unsigned month = mp < 10 ? mp + 3 : mp - 9;
  unsigned year = (unsigned)(year_of_era + (unsigned)era * 400 + (month <= 2));
  char *p = out;
  p = two_digits(p, year / 100);
  p = two_digits(p, year % 100);
  *p++ = '-';
  p = two_digits(p, month);
  *p++ = '-';
  p = two_digits(p, day);
  *p++ = 'T';
  p = two_digits(p, rest / 3600);
  *p++ = ':';
  p = two_digits(p, rest / 60 % 60);
  *p++ = ':';
  p = two_digits(p, rest % 60);
  if (nanoseconds > 0) {
    *p++ = '.';
    unsigned long scale = 100000000, n = (unsigned long)nanoseconds;
    while (n) {
      *p++ = (char)('0' + n / scale);
      n %= scale;
      scale /= 10;
    }
  }
  *p++ = 'Z';
  *p = 0;
  return (size_t)(p - out);
}
