/* Comes between a program and the system (LD_PRELOAD), for the tests in this folder.
 *
 * Files below SHIM_BELOW, the writing calls on them counted from 1:
 *   SHIM_SHORT=1       every write takes only half of what it is given, every third is interrupted
 *   SHIM_FAIL=N:ERRNO  the N-th call fails with this errno, once
 *   SHIM_COUNT=FILE    where the number of calls is written when the program ends
 *   SHIM_HOLD=WORD:FILE  before a call on a file whose path holds WORD, make FILE.held and wait
 *                        while FILE exists
 * SHIM_CATCHES_HANGUP=1  SIGHUP has a handler before main(), as with UCX
 * The clock of the day:
 *   SHIM_SHIFT=S:MS    it is S seconds wrong from MS milliseconds after the start on
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long calls;

static const char* setting(const char* name) {
  const char* value = getenv(name);
  return value == NULL ? "" : value;
}

static void nothing(int number) { (void)number; }

__attribute__((constructor)) static void catch_hangup(void) {
  if (*setting("SHIM_CATCHES_HANGUP") != '\0') signal(SIGHUP, nothing);
}

static int is_watched(const char* path) {
  const char* below = setting("SHIM_BELOW");
  return *below != '\0' && strncmp(path, below, strlen(below)) == 0;
}

static void path_of(int descriptor, char* path) {
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length > 0 ? length : 0] = '\0';
}

/* 0, or the errno with which this call on `path` shall fail. */
static int fault_of(const char* path, int is_write) {
  if (!is_watched(path)) return 0;
  char word[256];
  char gate[PATH_MAX];
  if (sscanf(setting("SHIM_HOLD"), "%255[^:]:%4095s", word, gate) == 2 &&
      strstr(path, word) != NULL && access(gate, F_OK) == 0) {
    char held[PATH_MAX + 8];
    snprintf(held, sizeof(held), "%s.held", gate);
    close(open(held, O_WRONLY | O_CREAT, 0600));
    while (access(gate, F_OK) == 0) usleep(1000);
  }
  const long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  long wanted = 0;
  int error = 0;
  if (sscanf(setting("SHIM_FAIL"), "%ld:%d", &wanted, &error) == 2 && wanted == number)
    return error;
  return is_write && *setting("SHIM_SHORT") != '\0' && number % 3 == 0 ? EINTR : 0;
}

static int fault_at(int descriptor, int is_write) {
  char path[PATH_MAX];
  path_of(descriptor, path);
  return fault_of(path, is_write);
}

static size_t taken(int descriptor, size_t bytes) {
  char path[PATH_MAX];
  path_of(descriptor, path);
  return bytes > 1 && *setting("SHIM_SHORT") != '\0' && is_watched(path) ? bytes / 2 : bytes;
}

#define FAIL_IF(fault)       \
  do {                       \
    const int error_ = fault; \
    if (error_ != 0) {       \
      errno = error_;        \
      return -1;             \
    }                        \
  } while (0)

ssize_t write(int descriptor, const void* from, size_t bytes) {
  FAIL_IF(fault_at(descriptor, 1));
  return REAL(write)(descriptor, from, taken(descriptor, bytes));
}

ssize_t writev(int descriptor, const struct iovec* parts, int count) {
  FAIL_IF(fault_at(descriptor, 1));
  return REAL(writev)(descriptor, parts, count);
}

ssize_t pwrite(int descriptor, const void* from, size_t bytes, off_t offset) {
  FAIL_IF(fault_at(descriptor, 1));
  return REAL(pwrite)(descriptor, from, taken(descriptor, bytes), offset);
}

ssize_t pwrite64(int descriptor, const void* from, size_t bytes, off64_t offset) {
  FAIL_IF(fault_at(descriptor, 1));
  return REAL(pwrite64)(descriptor, from, taken(descriptor, bytes), offset);
}

int fallocate(int descriptor, int mode, off_t offset, off_t bytes) {
  FAIL_IF(fault_at(descriptor, 1));
  return REAL(fallocate)(descriptor, mode, offset, bytes);
}

int fsync(int descriptor) {
  FAIL_IF(fault_at(descriptor, 0));
  return REAL(fsync)(descriptor);
}

int rename(const char* from, const char* to) {
  FAIL_IF(fault_of(to, 0));
  return REAL(rename)(from, to);
}

int mkdir(const char* path, mode_t mode) {
  FAIL_IF(fault_of(path, 0));
  return REAL(mkdir)(path, mode);
}

__attribute__((destructor)) static void tell_count(void) {
  const char* path = setting("SHIM_COUNT");
  if (*path == '\0' || calls == 0) return;
  FILE* file = fopen(path, "w");
  if (file == NULL) return;
  fprintf(file, "%ld\n", calls);
  fclose(file);
}

/* Seconds by which the clock of the day is wrong now. */
static long shift(void) {
  static struct timespec start;
  long seconds = 0;
  long milliseconds = 0;
  if (sscanf(setting("SHIM_SHIFT"), "%ld:%ld", &seconds, &milliseconds) != 2) return 0;
  struct timespec now;
  REAL(clock_gettime)(CLOCK_MONOTONIC, &now);
  if (start.tv_sec == 0) start = now;
  const long passed = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
  return passed >= milliseconds ? seconds : 0;
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  const int code = REAL(clock_gettime)(clock, now);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += shift();
  return code;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  const int code = REAL(gettimeofday)(now, zone);
  if (code == 0) now->tv_sec += shift();
  return code;
}

time_t time(time_t* to) {
  const time_t now = REAL(time)(NULL) + shift();
  if (to != NULL) *to = now;
  return now;
}
