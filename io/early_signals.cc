#include "io/early_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "io/os_error.h"

namespace doozer::io {
namespace {

// The signal that came first, or 0 if `end` became readable before one did.
int wait_for_signal(int signals, int end) {
  for (;;) {
    pollfd ready[] = {{.fd = signals, .events = POLLIN, .revents = 0},
                      {.fd = end, .events = POLLIN, .revents = 0}};
    if (::poll(ready, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return 0;
    }
    signalfd_siginfo info{};
    if (ready[0].revents != 0 && ::read(signals, &info, sizeof info) == sizeof info) {
      return static_cast<int>(info.ssi_signo);
    }
    if (ready[1].revents != 0) return 0;
  }
}

}  // namespace

Result<std::unique_ptr<EarlySignals>> EarlySignals::watch(UniqueFunction<void(int)> heard) {
  const auto failed = [](int error) { return fail(errno_error(error, "cannot watch signals")); };
  auto made = std::unique_ptr<EarlySignals>(new EarlySignals());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  made->signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!made->signals_) return failed(errno);
  made->end_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!made->end_) return failed(errno);
  const int masked = ::pthread_sigmask(SIG_BLOCK, &set, &made->mask_before_);
  if (masked != 0) return failed(masked);
  try {
    made->thread_ = std::thread([signals = made->signals_.get(), end = made->end_.get(),
                                 then = std::move(heard)]() mutable {
      const int signal = wait_for_signal(signals, end);
      if (signal != 0) then(signal);
    });
  } catch (const std::system_error& thrown) {
    return fail(Code::io_error, std::string("cannot watch signals: ") + thrown.what());
  }
  return made;
}

EarlySignals::~EarlySignals() {
  if (!end_) return;
  if (thread_.joinable()) {
    ::eventfd_write(end_.get(), 1);
    thread_.join();
  }
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

}  // namespace doozer::io
