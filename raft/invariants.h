// What must always be true, each with the sentence that it proves. Run after every step by the
// tests of this room and by the simulator; never by a server.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "raft/core.h"

namespace doozer::raft {

/// Within one core, between two steps. What is wrong, if something is.
std::optional<std::string> check(const Core& core);

/// Between all servers of one cluster and all their lives. Tell it every step of every core.
class Witness {
 public:
  /// After a step of `core` that made `output`. What is wrong, if something is.
  std::optional<std::string> see(const Core& core, const Output& output);
  /// A server starts again; what it promised still binds it.
  void restarted(const Core& core);
  /// What this server does is not all seen: its disk was copied or put back. From now on it is
  /// believed to hold whatever others count on.
  void lose_sight_of(const Identity& identity) { unseen_.insert(identity); }

  /// The highest index that any server knew to be committed.
  Index committed() const { return committed_.empty() ? Index() : committed_.rbegin()->first; }

  /// Of an index that is committed.
  Term committed_term(Index index) const { return committed_.at(index).term; }

 private:
  using Complaint = std::optional<std::string>;
  /// Of an entry, by index and term: what is in it and what it follows.
  struct Known {
    Term previous;
    EntryKind kind = EntryKind::noop;
    uint64_t payload_hash = 0;

    bool operator==(const Known&) const = default;
  };
  struct Committed {
    Term term;
    Term seen_in;  ///< of the first server that knew
  };
  struct Life {
    Term term;
    Index commit;
    LogPosition last;
    Role role = Role::follower;
    bool sound = true;
    uint64_t round_sent = 0;
    std::pair<uint64_t, Identity> newest_read = {};  ///< its number and who asked for it
  };
  struct Ballot {
    Identity candidate;
    bool counts = true;
  };

  Complaint see_leader(const Core& core, const Life& before);
  Complaint see_log(const Core& core, const Life& before);
  Complaint see_election(const Core& core, const Life& before) const;
  Complaint see_commit(const Core& core, const Life& before);
  Complaint see_majority(const Core& core, const Life& before) const;
  Complaint see_reads(const Core& core, const Life& before);
  Complaint see_promises(const Core& core, const Output& output);
  Complaint see_vote(const Core& core, Term term, const Ballot& ballot);
  void see_durable(const Core& core, const Output& output);
  bool holds(const Identity& voter, const LogPosition& entry) const;
  bool lacks(const Core& core) const;
  Complaint see_configurations(const Core& core, const Output& output) const;

  std::map<Term, Identity> leaders_;
  std::map<std::pair<Index, Term>, Known> entries_;
  std::map<Index, Committed> committed_;
  std::map<std::pair<Term, Identity>, Ballot> votes_;
  std::map<std::pair<Term, Identity>, uint64_t> rounds_;  ///< the newest that each has answered
  std::map<Identity, LogPosition> durable_;  ///< the newest that was ever durable at each
  std::map<Identity, Life> lives_;
  std::set<Identity> unseen_;
};

}  // namespace doozer::raft
