#include "core/cursors.h"

#include <algorithm>

#include "base/probe.h"

namespace doozer::core {

namespace {

/// Goes to and fro over one index. Always true: exactly `before_` matches have a key before key_.
class Scan {
 public:
  explicit Scan(std::string_view start) : key_(start) {}

  const std::string& key() const { return key_; }
  uint64_t before() const { return before_; }
  /// Moves the number by a match that came or went before key().
  void correct(bool came) { before_ += came ? 1 : static_cast<uint64_t>(-1); }
  void restart(std::string_view start) {
    key_ = start;
    before_ = 0;
    shape_ = kNoShape;
  }

  /// Finds the `offset`-th node below `prefix` for which `matches` holds.
  /// To ask it of a node costs `steps(node)`.
  template <typename Matches, typename Steps>
  Seek seek(const Tree& tree, const Ordered& index, std::string_view prefix, uint64_t offset,
            Budget& budget, const Matches& matches, const Steps& steps, const Node*& found) {
    Ordered::Place place = shape_ == tree.shape() ? place_ : index.lower_bound(key_);
    Seek result = Seek::more;
    const Node* reached = nullptr;
    while (before_ > offset) {
      if (budget.empty()) {
        if (reached != nullptr) {
          key_.assign(reached->key());
        }
        place_ = place;
        shape_ = tree.shape();
        return Seek::more;
      }
      index.previous(place);
      CHECK(!place.end());
      budget.spend(steps(*Ordered::get(place)));
      before_ -= matches(*Ordered::get(place)) ? 1 : 0;
      reached = Ordered::get(place);
    }
    if (reached != nullptr) {
      key_.assign(reached->key());
    }
    const Node* last = nullptr;
    while (true) {
      if (place.end() || !key_at(place).starts_with(prefix)) {
        result = Seek::end;
        break;
      }
      const Node* node = Ordered::get(place);
      const bool match = matches(*node);
      if (match && before_ == offset) {
        found = node;
        result = Seek::found;
        break;
      }
      if (budget.empty()) {
        break;
      }
      budget.spend(steps(*node));
      before_ += match ? 1 : 0;
      last = node;
      Ordered::next(place);
    }
    if (result == Seek::found) {
      key_.assign(found->key());
    } else if (last != nullptr) {
      key_.assign(last->key());
      key_.push_back('\0');  // just behind it: no path has a zero byte
    }
    place_ = place;
    shape_ = tree.shape();
    return result;
  }

 private:
  static constexpr uint64_t kNoShape = UINT64_MAX;
  static std::string_view key_at(const Ordered::Place& place) { return Ordered::get(place)->key(); }

  std::string key_;
  uint64_t before_ = 0;
  Ordered::Place place_;
  uint64_t shape_ = kNoShape;
};

class WalkCursorImpl final : public WalkCursor {
 public:
  WalkCursorImpl(const State& state, std::shared_ptr<const Glob> glob, std::optional<Revision> at)
      : state_(state),
        glob_(std::move(glob)),
        at_(at),
        scan_(glob_->literal_prefix()),
        seen_(state.history.end()) {
    if (at_) {
      at_ = std::max(*at_, Revision(1));
    }
  }

  Seek seek(uint64_t offset, Budget& budget, FileView& file) override {
    if (at_ && *at_ < state_.history.oldest()) {
      return Seek::too_late;
    }
    if (glob_->literal()) {
      return seek_literal(offset, budget, file);
    }
    if (!at_ && !catch_up(budget)) {
      return Seek::more;
    }
    const Node* node = nullptr;
    const auto matches = [this](const Node& each) {
      return version_of(each) != nullptr && glob_->matches(each.key());
    };
    const auto steps = [this](const Node& each) { return glob_->steps(each.key().size()); };
    const Seek result = scan_.seek(state_.tree, state_.tree.files(), glob_->literal_prefix(),
                                   offset, budget, matches, steps, node);
    if (result == Seek::found) {
      file = view_of(*node, *version_of(*node));
    }
    return result;
  }

 private:
  const Version* version_of(const Node& node) const {
    return at_ ? state_.tree.version_at(node, *at_) : node.file();
  }

  Seek seek_literal(uint64_t offset, Budget& budget, FileView& file) const {
    budget.spend();
    const Node* node = offset == 0 ? state_.tree.find(glob_->pattern()) : nullptr;
    const Version* version = node == nullptr ? nullptr : version_of(*node);
    if (version == nullptr) {
      return Seek::end;
    }
    file = view_of(*node, *version);
    return Seek::found;
  }

  /// Moves the remembered number by what happened since. False: the budget ended before.
  bool catch_up(Budget& budget) {
    const History& history = state_.history;
    const uint64_t end = history.end();
    constexpr uint64_t kWorthIt = 64;
    const bool lost = seen_ < history.begin();
    if (lost || (end - seen_) / 4 > scan_.before() + kWorthIt) {
      PROBE("core_walk_restarts");
      scan_.restart(glob_->literal_prefix());  // beginning again is exact, or cheaper
      seen_ = end;
    }
    for (; seen_ < end; ++seen_) {
      if (budget.empty()) {
        return false;
      }
      const EventView event = history.view(seen_);
      const bool came = event.kind == EventKind::set && event.created;
      if (!came && event.kind != EventKind::del) {
        continue;
      }
      budget.spend(glob_->steps(event.path.size()));
      if (event.path < std::string_view(scan_.key()) && glob_->matches(event.path)) {
        scan_.correct(came);
      }
    }
    return true;
  }

  const State& state_;
  const std::shared_ptr<const Glob> glob_;
  std::optional<Revision> at_;
  Scan scan_;
  uint64_t seen_;  // events up to here are in the number
};

class ListCursorImpl final : public ListCursor {
 public:
  ListCursorImpl(const State& state, std::string_view directory, std::optional<Revision> at)
      : state_(state),
        path_(directory),
        prefix_(directory == "/" ? "/" : path_ + "/"),
        at_(at),
        scan_(prefix_) {
    if (at_) {
      at_ = std::max(*at_, Revision(1));
    }
  }

  Seek seek(uint64_t offset, Budget& budget, std::string_view& name) override {
    if (at_ && *at_ < state_.history.oldest()) {
      return Seek::too_late;
    }
    const Node* directory = state_.tree.find(path_);
    if (directory == nullptr || directory->directory() == nullptr) {
      return Seek::end;
    }
    const Ordered& entries = directory->directory()->children;
    if (!at_) {
      budget.spend();
      return seek_newest(entries, offset, name);
    }
    const Node* node = nullptr;
    const auto listed = [this](const Node& each) { return state_.tree.listed_at(each, *at_); };
    const auto steps = [](const Node&) { return int64_t{1}; };
    const Seek result =
        scan_.seek(state_.tree, entries, prefix_, offset, budget, listed, steps, node);
    if (result == Seek::found) {
      name = node->key().substr(prefix_.size());
    }
    return result;
  }

 private:
  /// The index counts its entries: any offset is found at once, and the next one is beside it.
  Seek seek_newest(const Ordered& entries, uint64_t offset, std::string_view& name) {
    if (offset >= entries.live()) {
      return Seek::end;
    }
    const bool beside = shape_ == state_.tree.shape() && offset == offset_ + 1;
    if (beside) {
      do {
        Ordered::next(place_);
      } while (!Ordered::get(place_)->listed());
    } else {
      place_ = entries.select(static_cast<uint32_t>(offset));
    }
    shape_ = state_.tree.shape();
    offset_ = offset;
    name = Ordered::get(place_)->key().substr(prefix_.size());
    return Seek::found;
  }

  const State& state_;
  const std::string path_;
  const std::string prefix_;
  std::optional<Revision> at_;
  Scan scan_;
  Ordered::Place place_;
  uint64_t offset_ = 0;
  uint64_t shape_ = UINT64_MAX;
};

}  // namespace

std::unique_ptr<WalkCursor> make_walk_cursor(const State& state, std::shared_ptr<const Glob> glob,
                                             std::optional<Revision> at) {
  return std::make_unique<WalkCursorImpl>(state, std::move(glob), at);
}

std::unique_ptr<ListCursor> make_list_cursor(const State& state, std::string_view directory,
                                             std::optional<Revision> at) {
  return std::make_unique<ListCursorImpl>(state, directory, at);
}

}  // namespace doozer::core
