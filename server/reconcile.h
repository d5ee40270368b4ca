// What the leader does about membership next (design section 7): `/ctl/cal` is the wish, the Raft
// configuration is the truth, and this is the one place that compares them. Pure: facts in, one
// step out; the caretaker gathers the facts and carries the step out.
//
// Slots are written first and the configuration follows them, so that a leader that dies between
// the two leaves no doubt about what was wished (docs/decisions/0003-slots-first.md).
// It must never shrink the cluster by itself, replace more than one member at a time, or begin a
// change to voters of whom no majority answers: it could not end, and nothing else could be
// written.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/types.h"

namespace doozer::server {

/// One file of /ctl/cal.
struct SlotFact {
  std::string path;
  int64_t revision = 0;
  Identity holder;       ///< none: empty
  bool garbage = false;  ///< its value is no identity of the register: left alone
};

/// What the leader knows of one server of the cluster; itself included.
struct ServerFact {
  Identity identity;
  bool reachable = false;  ///< by the mesh, now
  bool caught_up = false;  ///< its log follows ours closely, and it answered lately
  bool sound = true;       ///< neither quarantined nor with a doubtful log
  bool full = false;       ///< its disk takes deletions only
  bool compatible = true;  ///< its build knows the cluster's version
  bool removed = false;    ///< a client took its slot away; chosen last, not while another may come
  bool willing = true;     ///< may be asked to lead
  uint64_t silent_us = 0;  ///< since its last answer to this leader, or since the leader looks

  bool coming() const { return reachable && sound && compatible && !full; }
  bool fit() const { return coming() && caught_up; }
};

struct MembershipFacts {
  Identity self;
  std::vector<Identity> voters;   ///< of the newest configuration, sorted
  bool changing = false;          ///< a change of it is under way
  bool quorum_confirmed = false;  ///< a majority has answered this leader just now
  uint64_t timeout_us = 0;        ///< `--timeout`
  std::vector<SlotFact> slots;    ///< in the order of their numbers
  std::vector<ServerFact> servers;
};

/// Put `holder` (none: nobody) into the slot that is at this revision.
struct SlotWrite {
  std::string path;
  int64_t revision = 0;
  Identity holder;
  bool operator==(const SlotWrite&) const = default;
};

struct Nothing {
  bool operator==(const Nothing&) const = default;
};
/// All of them in one command.
struct WriteSlots {
  std::vector<SlotWrite> writes;
  std::string why;  ///< for the log: "fill", "replace", "give_back"
  bool operator==(const WriteSlots&) const = default;
};
struct ChangeTo {
  std::vector<Identity> voters;  ///< sorted
  bool operator==(const ChangeTo&) const = default;
};
/// This leader's own slot is gone: another member goes on.
struct HandOverTo {
  Identity to;
  bool operator==(const HandOverTo&) const = default;
};
using MembershipStep = std::variant<Nothing, WriteSlots, ChangeTo, HandOverTo>;

MembershipStep next_membership_step(const MembershipFacts& facts);

/// To how many members `filled` ones should grow when `slots` exist and `standbys` are fit: the
/// next odd number, or all slots if that is the most there can be; `filled` if not enough are fit.
size_t wanted_members(size_t filled, size_t slots, size_t standbys);

}  // namespace doozer::server
