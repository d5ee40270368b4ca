#include "raft/progress.h"

#include <algorithm>

#include "base/check.h"
#include "raft/limits.h"

namespace doozer::raft {

void Progress::probe_from(Index from) {
  state = State::probe;
  next = std::max(from, match + 1);
  offered = Index();
  probed = false;
  inflight.clear();
  inflight_bytes = 0;
  bulk_last = Index();
}

void Progress::begin_replicate(Index from) {
  probe_from(from);
  state = State::replicate;
}

void Progress::begin_snapshot() {
  probe_from(next);
  state = State::snapshot;
}

void Progress::restarted(Incarnation now) {
  incarnation = now;
  match = Index();
  counts = false;
  round = 0;
  round_told = 0;
  probe_from(next);
}

void Progress::matched(Index index) {
  if (index <= match) return;
  match = index;
  acknowledged = std::max(acknowledged, index);
  next = std::max(next, match + 1);
  while (!inflight.empty() && inflight.front().last <= match) {
    inflight_bytes -= inflight.front().bytes;
    inflight.pop_front();
  }
}

void Progress::sent(Index last, uint64_t bytes) {
  CHECK(state == State::replicate);
  CHECK(last >= next);
  next = last + 1;
  inflight.push_back({.last = last, .bytes = bytes});
  inflight_bytes += bytes;
}

bool Progress::full() const {
  return inflight.size() >= kInflightMessagesMax || inflight_bytes >= kInflightBytesMax;
}

}  // namespace doozer::raft
