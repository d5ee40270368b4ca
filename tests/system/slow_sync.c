/* Preloaded into a server, so that a test decides how its disk syncs: late, or not at all.
 *
 *   cc -shared -fPIC -O2 -o slow_sync.so slow_sync.c
 *   LD_PRELOAD=slow_sync.so SLOW_SYNC_CONTROL=FILE doozerd ...
 *
 * FILE holds the struct below and is mapped by both sides. A sync that is under way looks again every
 * millisecond, so that setting the delay back ends it. Where a sync fails nothing is synced. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
  uint32_t delay_ms; /* of each sync */
  uint32_t fail;     /* not 0: each sync fails with EIO */
  uint32_t delayed;  /* how many were delayed, counted here */
  uint32_t failed;
};

static volatile struct control* control;

__attribute__((constructor)) static void open_control(void) {
  const char* name = getenv("SLOW_SYNC_CONTROL");
  const int fd = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
  void* at = fd < 0 ? MAP_FAILED
                    : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) abort(); /* a test that breaks nothing must not pass */
  control = at;
  close(fd);
}

static int sync_by(const char* name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  const struct timespec millisecond = {0, 1000000};
  uint32_t waited = 0;
  while (waited < control->delay_ms) {
    nanosleep(&millisecond, NULL);
    ++waited;
  }
  if (waited > 0) __sync_fetch_and_add(&control->delayed, 1);
  if (control->fail) {
    __sync_fetch_and_add(&control->failed, 1);
    errno = EIO;
    return -1;
  }
  return real(fd);
}

int fdatasync(int fd) { return sync_by("fdatasync", fd); }
int fsync(int fd) { return sync_by("fsync", fd); }
