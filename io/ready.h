// Things that have something to do in a turn of the loop, in lists from which they vanish when they
// are destroyed.
#pragma once

#include "base/check.h"

namespace doozer::io {

/// Handled once by the loop for each time it is enqueued (Loop::enqueue). May be destroyed at any
/// time, also while other members of its list are handled.
class Ready {
 public:
  Ready() = default;
  Ready(const Ready&) = delete;
  Ready& operator=(const Ready&) = delete;
  virtual ~Ready() { unlink(); }
  /// May destroy itself and any other.
  virtual void on_ready() = 0;
  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }

 private:
  friend class ReadyList;
  Ready* prev_ = nullptr;
  Ready* next_ = nullptr;
};

/// First in, first out; borrows its members.
class ReadyList {
 public:
  ReadyList() { head_.prev_ = head_.next_ = &head_; }
  ~ReadyList() {
    while (pop() != nullptr) {
    }
    head_.prev_ = head_.next_ = nullptr;
  }
  ReadyList(const ReadyList&) = delete;
  ReadyList& operator=(const ReadyList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  void push_back(Ready& item) {
    CHECK(!item.linked());
    item.prev_ = head_.prev_;
    item.next_ = &head_;
    head_.prev_->next_ = &item;
    head_.prev_ = &item;
  }
  /// The first, taken out; null if there is none.
  Ready* pop() {
    if (empty()) return nullptr;
    Ready* const first = head_.next_;
    first->unlink();
    return first;
  }
  /// Moves all of `other` in front of our own.
  void prepend(ReadyList& other) {
    if (other.empty()) return;
    Ready* const first = other.head_.next_;
    Ready* const last = other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    last->next_ = head_.next_;
    head_.next_->prev_ = last;
    head_.next_ = first;
    first->prev_ = &head_;
  }

 private:
  struct Head final : Ready {
    void on_ready() override { UNREACHABLE(); }
  };
  Head head_;
};

}  // namespace doozer::io
