#include "server/forward_desk.h"

#include "base/probe.h"
#include "core/write_tag.h"

namespace doozer::server {

void ForwardDesk::begin_term(Term term) {
  term_ = term;
  origins_.clear();
  due_ = false;
}

void ForwardDesk::take(const Identity& origin, Incarnation incarnation, const Forward& forward,
                       const Admit& admit, const Propose& propose) {
  if (forward.term != term_) return;
  Origin& from = origins_[origin];
  if (incarnation < from.incarnation) return;
  if (incarnation > from.incarnation) from = {.incarnation = incarnation, .refused = {}};
  from.due = true;
  due_ = true;
  uint64_t sequence = forward.first;
  if (sequence > from.taken_to + 1) {
    PROBE("forward_desk: a gap in forwarded writes");
    return;
  }
  for (const ForwardItem& item : forward.items) {
    const uint64_t mine = sequence++;
    if (mine <= from.taken_to) {
      PROBE("forward_desk: a forwarded write came twice");
      continue;
    }
    if (from.refused.size() >= kRefusedPerAckMax) return;
    from.taken_to = mine;
    if (item.payload.empty()) continue;
    std::string_view command = item.payload;
    const auto tag = core::take_tag(command);
    const core::WriteTag wanted{.origin = origin, .incarnation = incarnation, .sequence = mine};
    Result<void> admitted = {};
    if (!tag || *tag != wanted || command.empty()) {
      admitted = fail(Code::corrupt, "forwarded write " + std::to_string(mine) +
                                         " does not carry its sender's tag");
    } else {
      admitted = admit(item.payload.size(), item.may_use_reserve);
    }
    if (admitted) {
      propose(std::string(item.payload));
    } else {
      from.refused.push_back({.sequence = mine, .error = std::move(admitted).error()});
    }
  }
}

std::vector<std::pair<Identity, ForwardAck>> ForwardDesk::acknowledgements() {
  std::vector<std::pair<Identity, ForwardAck>> acks;
  if (!due_) return acks;
  due_ = false;
  for (auto& [identity, origin] : origins_) {
    if (!origin.due) continue;
    origin.due = false;
    acks.emplace_back(identity, ForwardAck{.term = term_,
                                           .taken_to = origin.taken_to,
                                           .refused = std::move(origin.refused)});
    origin.refused.clear();
  }
  return acks;
}

}  // namespace doozer::server
