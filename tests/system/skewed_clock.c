/* Preloaded into a server, so that a test decides how fast its monotonic clock goes, and lets it jump
 * ahead. (libfaketime has the wall clock; its monotonic one cannot change its pace while it runs.)
 *
 *   cc -shared -fPIC -O2 -o skewed_clock.so skewed_clock.c
 *   LD_PRELOAD=skewed_clock.so SKEWED_CLOCK_CONTROL=FILE doozerd ...
 *
 * FILE holds the struct below and is mapped by both sides. The clock never goes back, and what the
 * kernel is asked to wait is as long by this clock as by a true one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
  int64_t gain_ppm;  /* so many microseconds in a second */
  int64_t jumped_us; /* the sum of all jumps ahead */
};

static volatile struct control* control;
static int (*real_clock_gettime)(clockid_t, struct timespec*);
static int (*real_epoll_wait)(int, struct epoll_event*, int, int);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct control seen; /* what the two times below are by */
static int64_t true_ns, own_ns;

__attribute__((constructor)) static void open_control(void) {
  const char* name = getenv("SKEWED_CLOCK_CONTROL");
  const int fd = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
  void* at = fd < 0 ? MAP_FAILED
                    : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) abort(); /* a test that breaks nothing must not pass */
  close(fd);
  seen.jumped_us = ((struct control*)at)->jumped_us; /* those were in former lives */
  control = at;
}

static int64_t own_time(int64_t now_ns) {
  pthread_mutex_lock(&mutex);
  if (true_ns == 0) true_ns = own_ns = now_ns;
  if (now_ns > true_ns) { /* another thread may have been faster with a later time */
    own_ns += (now_ns - true_ns) + (now_ns - true_ns) * seen.gain_ppm / 1000000;
    true_ns = now_ns;
  }
  own_ns += (control->jumped_us - seen.jumped_us) * 1000;
  seen = *control;
  const int64_t own = own_ns;
  pthread_mutex_unlock(&mutex);
  return own;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (real_clock_gettime == NULL) {
    real_clock_gettime =
        (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  }
  const int result = real_clock_gettime(clock, time);
  if (result != 0 || clock != CLOCK_MONOTONIC || control == NULL) return result;
  const int64_t own = own_time((int64_t)time->tv_sec * 1000000000 + time->tv_nsec);
  time->tv_sec = own / 1000000000;
  time->tv_nsec = own % 1000000000;
  return 0;
}

int epoll_wait(int fd, struct epoll_event* events, int count, int timeout_ms) {
  if (real_epoll_wait == NULL) {
    real_epoll_wait =
        (int (*)(int, struct epoll_event*, int, int))dlsym(RTLD_NEXT, "epoll_wait");
  }
  if (timeout_ms > 0) {
    timeout_ms = (int)((int64_t)timeout_ms * 1000000 / (1000000 + control->gain_ppm));
    if (timeout_ms == 0) timeout_ms = 1;
  }
  return real_epoll_wait(fd, events, count, timeout_ms);
}
