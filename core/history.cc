#include "core/history.h"

#include <algorithm>

#include "base/limits.h"
#include "base/probe.h"

namespace doozer::core {

namespace {

/// Giving back a large value costs what its pages cost.
constexpr size_t kFreedBytesPerStep = 16 * kKiB;

/// What the heap holds for this event and nobody else: its record and the version that it replaced.
uint32_t cost_of(const Change& change) {
  size_t bytes = sizeof(Event);
  if (change.node != nullptr) {
    if (change.version->older != nullptr) {
      bytes += version_bytes(change.version->older->size);
    }
    if (!change.version->live()) {
      bytes += version_bytes(0) + sizeof(Node) + change.node->key().size();
    }
  }
  return static_cast<uint32_t>(bytes);
}

}  // namespace

void History::add(Revision revision, const std::vector<Change>& changes) {
  CHECK(revision > newest_);
  CHECK(!changes.empty());
  newest_ = revision;
  for (size_t i = 0; i < changes.size(); ++i) {
    Event event{};
    event.change = changes[i];
    event.revision = revision;
    event.sub = static_cast<uint32_t>(i) & 0x7FFFFFFFU;
    event.last = i + 1 == changes.size() ? 1 : 0;
    event.cost = cost_of(changes[i]);
    bytes_ += event.cost;
    kept_bytes_ += event.cost;
    events_.push_back(event);
  }
  advance();
}

/// Moves oldest() on: the newest revision itself always stays.
void History::advance() {
  Revision oldest = std::max(oldest_, newest_ - (revisions_max_ - 1));
  for (;;) {
    while (kept_first_ < end() && at(kept_first_).revision < oldest) {
      kept_bytes_ -= at(kept_first_).cost;
      ++kept_first_;
    }
    if (kept_bytes_ <= bytes_max_ || oldest >= newest_) {
      break;
    }
    PROBE("core_history_bytes_limit");
    oldest = at(kept_first_).revision + 1;
  }
  oldest_ = oldest;
}

EventView History::view(uint64_t number) const {
  const Event& event = at(number);
  EventView view;
  view.position = {.revision = event.revision, .sub = event.sub};
  view.last = event.last != 0;
  if (event.change.node == nullptr) {
    view.kind = EventKind::nop;
    view.path = "/";
    return view;
  }
  const Version& version = *event.change.version;
  view.kind = version.live() ? EventKind::set : EventKind::del;
  view.created = version.live() && version.count == 1;
  view.path = event.change.node->key();
  view.value = version.value();
  return view;
}

uint64_t History::find(Position position) const {
  const auto found = std::lower_bound(
      events_.begin(), events_.end(), position, [](const Event& event, const Position& wanted) {
        return Position{.revision = event.revision, .sub = event.sub} < wanted;
      });
  return first_ + static_cast<uint64_t>(found - events_.begin());
}

/// Events with a revision below this one may go.
Revision History::trim_to() {
  std::erase_if(pins_, [](const std::shared_ptr<Pin>& pin) { return pin.use_count() == 1; });
  Revision limit = oldest_;
  if (bytes_ - kept_bytes_ > kPinnedBytesMax) {
    for (const std::shared_ptr<Pin>& pin : pins_) {
      pin->lost = true;
      PROBE("core_pin_lost");
    }
    pins_.clear();
  }
  for (const std::shared_ptr<Pin>& pin : pins_) {
    limit = std::min(limit, pin->revision + 1);
  }
  return limit;
}

bool History::trim_one() {
  if (events_.empty() || events_.front().revision >= trim_to()) {
    return false;
  }
  const Event event = events_.front();
  events_.pop_front();
  ++first_;
  bytes_ -= event.cost;
  if (event.change.node != nullptr) {
    tree_.retire(event.change);
  }
  return true;
}

bool History::trim(size_t events) {
  for (size_t i = 0; i < events; ++i) {
    if (!trim_one()) {
      return false;
    }
  }
  return !events_.empty() && events_.front().revision < trim_to();
}

bool History::trim(Budget& budget) {
  while (!budget.empty()) {
    const size_t bytes = events_.empty() ? 0 : events_.front().cost;
    if (!trim_one()) {
      return false;
    }
    budget.spend(1 + static_cast<int64_t>(bytes / kFreedBytesPerStep));
  }
  return !events_.empty() && events_.front().revision < trim_to();
}

std::shared_ptr<Pin> History::pin(Revision revision) {
  pins_.push_back(std::make_shared<Pin>(Pin{.revision = revision, .lost = false}));
  return pins_.back();
}

bool History::release(Budget& budget) {
  while (!events_.empty() && !budget.empty()) {
    budget.spend();
    for (int i = 0; i < 16 && !events_.empty(); ++i) {
      events_.pop_front();  // a plain record: sixteen are one step
    }
  }
  return !events_.empty();
}

}  // namespace doozer::core
