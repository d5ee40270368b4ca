// Survives its owner's calls: tells an object, on the stack of its own call, that a callee has
// destroyed it.
#pragma once

namespace doozer::io {

/// The place in an object where the call that runs can be told of the destruction.
class Alive {
 public:
  Alive() = default;
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  ~Alive() {
    if (gone_ != nullptr) *gone_ = true;
  }

 private:
  friend class AliveGuard;
  bool* gone_ = nullptr;
};

/// One for the outermost call of an object that may be destroyed by whom it calls.
class AliveGuard {
 public:
  explicit AliveGuard(Alive& alive) : alive_(alive), before_(alive.gone_) { alive.gone_ = &gone_; }
  AliveGuard(const AliveGuard&) = delete;
  AliveGuard& operator=(const AliveGuard&) = delete;
  ~AliveGuard() {
    if (!gone_) {
      alive_.gone_ = before_;
    } else if (before_ != nullptr) {
      *before_ = true;
    }
  }
  bool gone() const { return gone_; }

 private:
  Alive& alive_;
  bool* const before_;
  bool gone_ = false;
};

}  // namespace doozer::io
