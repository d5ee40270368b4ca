// Readiness of file descriptors, by Asio. Inside io/ only: this header brings Asio along.
//
// Asio's handlers run in wait() alone and only note what is ready; all real work is done later in
// the turn, in the order of env/clock.h.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "io/fd.h"

namespace doozer::io {

class Watch;

class Poller {
 public:
  /// Throws std::system_error when the operating system refuses (no file descriptors).
  Poller();
  /// Notes what is ready. Returns at once if `block_us` is 0; otherwise waits until something is
  /// ready, wake() was called, or so long (rounded up to milliseconds) has passed; for ever if
  /// negative.
  void wait(int64_t block_us);
  /// Makes the current or the next wait() return. From any thread.
  void wake();
  asio::io_context& context() { return context_; }

 private:
  friend class Watch;
  struct Note;
  // A completed wait may find its watch gone: it looks it up by number and generation.
  struct Slot {
    Watch* watch = nullptr;
    uint32_t generation = 0;
  };
  uint32_t enter(Watch& watch);
  void leave(uint32_t slot);

  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

/// One descriptor whose readiness is asked for, once for each call of arm_…().
class Watch {
 public:
  explicit Watch(Poller& poller) : poller_(poller), descriptor_(poller.context()) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  virtual ~Watch() { close(); }
  /// Takes `fd`, which must not block. Errors: io_error (and the descriptor is closed).
  Result<void> open(UniqueFd fd);
  void close();
  /// Stops watching and hands the descriptor out.
  UniqueFd release();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  /// Asks to hear when reading (or accepting) will not block, also because of an error. Asking
  /// again before that changes nothing.
  void arm_read() { arm(false); }
  void arm_write() { arm(true); }

 protected:
  /// Heard inside Poller::wait: may note and enqueue, nothing else.
  virtual void on_readable() = 0;
  virtual void on_writable() = 0;

 private:
  friend class Poller;
  void arm(bool write);
  Poller& poller_;
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> descriptor_;
  int fd_ = -1;
  uint32_t slot_ = 0;
  bool read_armed_ = false;
  bool write_armed_ = false;
};

}  // namespace doozer::io
