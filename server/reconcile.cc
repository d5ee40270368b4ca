#include "server/reconcile.h"

#include <algorithm>
#include <optional>

namespace doozer::server {
namespace {

bool contains(const std::vector<Identity>& sorted, const Identity& identity) {
  return std::binary_search(sorted.begin(), sorted.end(), identity);
}

class Reconciler {
 public:
  explicit Reconciler(const MembershipFacts& facts) : facts_(facts) {
    for (const SlotFact& slot : facts.slots) {
      if (!slot.holder.none() && !slot.garbage) wish_.push_back(slot.holder);
    }
    std::sort(wish_.begin(), wish_.end());
    wish_.erase(std::unique(wish_.begin(), wish_.end()), wish_.end());
  }

  MembershipStep next() const {
    // Before the first slot is filled, and while a change runs, there is nothing to compare.
    if (wish_.empty() || facts_.changing) return Nothing{};
    if (wish_ != facts_.voters) return follow_wish();
    return mend();
  }

 private:
  const ServerFact* fact(const Identity& identity) const {
    for (const ServerFact& server : facts_.servers) {
      if (server.identity == identity) return &server;
    }
    return nullptr;
  }

  bool fit(const Identity& identity) const {
    if (identity == facts_.self) return true;
    const ServerFact* const server = fact(identity);
    return server != nullptr && server->fit();
  }

  bool answers(const Identity& identity) const {
    if (identity == facts_.self) return true;
    const ServerFact* const server = fact(identity);
    return server != nullptr && server->reachable && server->caught_up;
  }

  MembershipStep mend() const {
    if (auto step = fill()) return *step;
    if (auto step = replace()) return *step;
    return Nothing{};
  }

  // The wish may leave only those who are dead: then others are wished for, as far as slots allow.
  MembershipStep change_to(const std::vector<Identity>& voters) const {
    const auto alive = std::count_if(voters.begin(), voters.end(),
                                     [this](const Identity& voter) { return answers(voter); });
    if (static_cast<size_t>(alive) > voters.size() / 2) return ChangeTo{voters};
    return mend();
  }

  MembershipStep follow_wish() const {
    // A standby that was chosen and has left meanwhile gives its slot back: its vote would count
    // for a majority that it cannot help to reach.
    WriteSlots give_back{.writes = {}, .why = "give_back"};
    for (const SlotFact& slot : facts_.slots) {
      if (slot.holder.none() || slot.garbage || contains(facts_.voters, slot.holder)) continue;
      if (!fit(slot.holder)) give_back.writes.push_back({slot.path, slot.revision, Identity()});
    }
    if (!give_back.writes.empty() && give_back.writes.size() < wish_.size()) return give_back;
    if (!contains(wish_, facts_.self)) {
      bool votes = false;
      for (const Identity& heir : wish_) {
        if (!contains(facts_.voters, heir) || !fit(heir)) continue;
        if (fact(heir)->willing) return HandOverTo{heir};
        votes = true;
      }
      // Those who never lead do so rather than nobody, once this leader has removed itself.
      if (votes) return change_to(wish_);
      // Nobody who votes already may go on: those to come must be let in first.
      std::vector<Identity> with_self = wish_;
      with_self.insert(std::upper_bound(with_self.begin(), with_self.end(), facts_.self),
                       facts_.self);
      if (with_self == facts_.voters) return Nothing{};
      return change_to(with_self);
    }
    return change_to(wish_);
  }

  std::vector<Identity> standbys() const {
    std::vector<const ServerFact*> found;
    bool another_comes = false;
    for (const ServerFact& server : facts_.servers) {
      if (contains(wish_, server.identity) || server.identity == facts_.self) continue;
      if (server.fit()) found.push_back(&server);
      another_comes |= server.coming() && !server.caught_up && !server.removed;
    }
    // Who was removed is better than nobody; but a leader that is new has heard of few yet.
    if (another_comes)
      std::erase_if(found, [](const ServerFact* server) { return server->removed; });
    std::sort(found.begin(), found.end(), [](const ServerFact* a, const ServerFact* b) {
      return std::pair(a->removed, a->identity) < std::pair(b->removed, b->identity);
    });
    std::vector<Identity> identities;
    for (const ServerFact* server : found) identities.push_back(server->identity);
    return identities;
  }

  std::optional<MembershipStep> fill() const {
    std::vector<const SlotFact*> empty;
    for (const SlotFact& slot : facts_.slots) {
      if (slot.holder.none() && !slot.garbage) empty.push_back(&slot);
    }
    const std::vector<Identity> fit = standbys();
    const size_t wanted = wanted_members(wish_.size(), wish_.size() + empty.size(), fit.size());
    if (wanted == wish_.size()) return std::nullopt;
    WriteSlots step{.writes = {}, .why = "fill"};
    for (size_t i = 0; wish_.size() + i < wanted; ++i) {
      step.writes.push_back({empty[i]->path, empty[i]->revision, fit[i]});
    }
    return step;
  }

  // The member that has been silent the longest, if it is long enough.
  std::optional<MembershipStep> replace() const {
    if (!facts_.quorum_confirmed) return std::nullopt;
    const ServerFact* dead = nullptr;
    for (const Identity& identity : wish_) {
      const ServerFact* const server = fact(identity);
      if (identity == facts_.self || server == nullptr) continue;
      if (server->silent_us < facts_.timeout_us) continue;
      if (dead == nullptr || server->silent_us > dead->silent_us) dead = server;
    }
    const std::vector<Identity> fit = standbys();
    if (dead == nullptr || fit.empty()) return std::nullopt;
    for (const SlotFact& slot : facts_.slots) {
      if (slot.holder == dead->identity) {
        return WriteSlots{.writes = {{slot.path, slot.revision, fit.front()}}, .why = "replace"};
      }
    }
    return std::nullopt;
  }

  const MembershipFacts& facts_;
  std::vector<Identity> wish_;
};

}  // namespace

size_t wanted_members(size_t filled, size_t slots, size_t standbys) {
  const size_t most = std::min(slots, filled + standbys);
  size_t wanted = filled;
  for (size_t count = filled + 1; count <= most; ++count) {
    // An even number tolerates no more failures than the odd one below it.
    if (count % 2 == 1 || count == slots) wanted = count;
  }
  return wanted;
}

MembershipStep next_membership_step(const MembershipFacts& facts) {
  return Reconciler(facts).next();
}

}  // namespace doozer::server
