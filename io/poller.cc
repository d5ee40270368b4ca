#include "io/poller.h"

#include <asio/post.hpp>
#include <chrono>

#include "base/check.h"

namespace doozer::io {

struct Poller::Note {
  Poller* poller;
  uint32_t slot;
  uint32_t generation;
  bool write;
  // An error of the wait counts as readiness: the read or write that follows tells what it is.
  void operator()(const asio::error_code&) const {
    const Slot& entry = poller->slots_[slot];
    if (entry.generation != generation) return;
    Watch& watch = *entry.watch;
    if (write) {
      watch.write_armed_ = false;
      watch.on_writable();
    } else {
      watch.read_armed_ = false;
      watch.on_readable();
    }
  }
};

Poller::Poller() : work_(context_.get_executor()) {}

void Poller::wait(int64_t block_us) {
  if (block_us < 0) {
    context_.run_one();
  } else if (block_us > 0) {
    context_.run_one_for(std::chrono::microseconds(block_us));
  }
  context_.poll();
}

void Poller::wake() {
  asio::post(context_, [] {});
}

uint32_t Poller::enter(Watch& watch) {
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot].watch = &watch;
  return slot;
}

void Poller::leave(uint32_t slot) {
  slots_[slot].watch = nullptr;
  ++slots_[slot].generation;
  free_.push_back(slot);
}

Result<void> Watch::open(UniqueFd fd) {
  CHECK(!is_open());
  asio::error_code error;
  const int number = fd.get();
  try {
    descriptor_.assign(fd.release(), error);
  } catch (const std::exception& thrown) {
    fd.reset(number);
    return fail(Code::io_error, std::string("cannot watch a descriptor: ") + thrown.what());
  }
  if (error) {
    fd.reset(number);
    return fail(Code::io_error, "cannot watch a descriptor: " + error.message());
  }
  fd_ = number;
  slot_ = poller_.enter(*this);
  return {};
}

void Watch::close() {
  if (!is_open()) return;
  poller_.leave(slot_);
  fd_ = -1;
  read_armed_ = write_armed_ = false;
  asio::error_code ignored;
  descriptor_.close(ignored);
}

UniqueFd Watch::release() {
  CHECK(is_open());
  poller_.leave(slot_);
  fd_ = -1;
  read_armed_ = write_armed_ = false;
  return UniqueFd(descriptor_.release());
}

void Watch::arm(bool write) {
  bool& armed = write ? write_armed_ : read_armed_;
  if (armed || !is_open()) return;
  armed = true;
  using Descriptor = asio::posix::descriptor_base;
  descriptor_.async_wait(write ? Descriptor::wait_write : Descriptor::wait_read,
                         Poller::Note{.poller = &poller_,
                                      .slot = slot_,
                                      .generation = poller_.slots_[slot_].generation,
                                      .write = write});
}

}  // namespace doozer::io
