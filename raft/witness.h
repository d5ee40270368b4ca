// What must always be true between all servers of one cluster and all their lives, each with the
// sentence that it proves. Run after every step by the tests of this room and by the simulator;
// never by a server.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "raft/core.h"

namespace doozer::raft {

/// Between all servers of one cluster and all their lives. Tell it every step of every core.
class Witness {
 public:
  /// After a step of `core` that made `output`. What is wrong, if something is.
  std::optional<std::string> see(const Core& core, const Output& output);
  /// A server starts, for the first time or again; what it promised still binds it. What is wrong,
  /// if something is.
  std::optional<std::string> restarted(const Core& core);
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
    Incarnation incarnation;
    uint64_t round_sent = 0;
    std::pair<uint64_t, Identity> newest_read = {};  ///< its number and who asked for it
  };
  struct Ballot {
    Identity candidate;
    bool counts = true;
  };

  /// Term and vote, as they bind a server.
  struct Promise {
    Term term;
    Identity vote;
  };
  struct Promises {
    Promise durable;
    std::deque<std::pair<uint64_t, Promise>> under_way;  ///< by the sequence that makes it durable
  };
  struct Asked {
    uint64_t newest = 0;                ///< ticket
    std::map<uint64_t, Index> tickets;  ///< and what was known to be committed when it came
  };

  static Life life_of(const Core& core);
  Complaint see_leader(const Core& core, const Life& before);
  Complaint see_following(const Core& core) const;
  Complaint see_log(const Core& core, const Life& before);
  Complaint see_election(const Core& core, const Life& before) const;
  Complaint see_commit(const Core& core, const Life& before);
  Complaint see_majority(const Core& core, const Life& before) const;
  Complaint see_rounds(const Core& core, const Life& before);
  Complaint see_reads(const Core& core, const Output& output);
  void see_hard_state(const Core& core, const Output& output);
  Complaint see_told(const Core& core, const Output& output) const;
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
  std::map<Identity, Promises> promises_;
  std::map<Identity, Asked> asked_;  ///< of each life
  std::map<Identity, Life> lives_;
  std::set<Identity> unseen_;
};

}  // namespace doozer::raft
