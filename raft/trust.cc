// Logs that may lack what they once acknowledged (design sections 4 and 5): such a server neither
// votes nor counts until it holds again whatever its former acknowledgements may have committed.
// One exception keeps a power cut that tears every tail from stopping the cluster for good: the
// votes of doubtful logs count if all voters grant theirs, for then nothing that is left anywhere
// is lost. The argument is in docs/consensus.md, "A log in doubt".
#include <algorithm>

#include "base/probe.h"
#include "raft/core.h"

namespace doozer::raft {

void Core::begin_doubt(LogTrust trust, Index doubtful_to) {
  if (trust == LogTrust::sound) return;
  // Nobody else could hold what a cut tail lost: a cluster of one goes on with what it has.
  if (trust == LogTrust::doubtful && is_single()) {
    settled_ = true;
    return;
  }
  trust_ = trust;
  doubtful_to_ = doubtful_to;
  // The vote of this term may be among what was lost below a marker. Voting for ourselves, without
  // standing, keeps us from giving it again, also after another restart.
  if (trust == LogTrust::repairing && hard_state_.vote.none()) {
    hard_state_.vote = self_;
    promise_dirty_ = true;
  }
}

/// Only a leader that has heard from this life of ours counts on nothing that the last one said; up
/// to what it has now, it holds all that this ever helped to commit.
void Core::hear_for_trust(const LeaderHead& head) {
  if (trust_ == LogTrust::sound || settle_at_ || head.receiver != incarnation_) return;
  settle_at_ =
      trust_ == LogTrust::doubtful ? std::min(doubtful_to_, head.last_index) : head.last_index;
}

/// The one other voter is in every majority: whatever we helped to commit, or to elect, it knows
/// of. To be asked once we hold the leader's log: our own may lack a configuration.
bool Core::two_voters() const {
  return !configuration().joint() && configuration().voters.size() == 2;
}

void Core::settle_if_caught_up() {
  if (trust_ == LogTrust::sound || !settle_at_) return;
  if (std::min(durable_, verified_) < *settle_at_) return;
  // With the log a newer term may have been lost, and with it the knowledge that this leader is no
  // longer one. It is, if it commits something new without us: a majority of the others follows it.
  if (trust_ == LogTrust::repairing && !two_voters() && commit_ <= *settle_at_) return;
  settle();
  if (!leader_.none()) reply_to_leader({});
}

void Core::settle() {
  PROBE("raft: a log is trusted again");
  trust_ = LogTrust::sound;
  settled_ = true;
}

}  // namespace doozer::raft
