#include "raft/invariants.h"

#include <algorithm>

#include "raft/limits.h"

namespace doozer::raft {

/// Looks into a core; changes nothing.
class Inspector {
 public:
  explicit Inspector(const Core& core) : core_(core) {}
  std::optional<std::string> inspect();

 private:
  void must(bool condition, const char* sentence);
  void order_of_indexes();
  void promises();
  void roles();
  void peers();
  void reads();
  void buffers();
  void configurations();

  const Core& core_;
  std::optional<std::string> wrong_;
};

void Inspector::must(bool condition, const char* sentence) {
  if (condition || wrong_) return;
  wrong_ = std::string(sentence) + " (server " + core_.self().to_string() + ", term " +
           std::to_string(core_.term().value()) + ")";
}

std::optional<std::string> Inspector::inspect() {
  order_of_indexes();
  promises();
  roles();
  peers();
  reads();
  buffers();
  configurations();
  return wrong_;
}

void Inspector::order_of_indexes() {
  must(core_.applied() <= core_.commit(), "only what is committed is applied");
  must(core_.commit() <= core_.last_index(), "only what is in the log is committed");
  must(core_.log_.below().index <= core_.applied(), "only what is applied is forgotten");
  must(core_.durable() <= core_.last_index(), "only what is in the log is durable");
  must(core_.last_term() <= core_.term(), "no entry is of a later term than the server");
  must(core_.hard_state_.commit <= core_.durable(), "the stored commit index is durable");
  for (const Core::Persisting& batch : core_.persisting_) {
    must(batch.last <= core_.last_index(), "a batch on its way holds nothing that was cut off");
  }
  must(core_.role() == Role::leader || core_.verified_ <= core_.last_index(),
       "what agrees with the leader's log is in the log");
  must(core_.role() == Role::leader || core_.commit() <= core_.verified_,
       "a follower knows nothing as committed that its leader may not have");
}

void Inspector::promises() {
  must(core_.outgoing_.empty(), "no message is forgotten");
  must(!core_.promise_dirty_, "term and vote are on their way to the disk");
  must(core_.held_.size() <= kHeldMessagesMax, "what waits for the disk is bounded");
  for (const Core::Held& held : core_.held_) {
    must(held.sequence > core_.persisted_sequence_, "what may be heard of is not held back");
  }
}

void Inspector::roles() {
  const bool led = core_.role() == Role::leader;
  const bool stands = core_.role() == Role::candidate;
  must(!led || core_.leader() == core_.self(), "a leader knows that it leads");
  must(!led || core_.promise_sequence_ <= core_.persisted_sequence_,
       "the vote of a leader for itself was durable (3.4)");
  must(!led || core_.hard_state_.vote == core_.self(), "a leader voted for itself");
  must(!led || core_.last_index() >= core_.term_first_, "a leader appended its noop (6.4)");
  must(!stands || core_.pre_ || core_.hard_state_.vote == core_.self(),
       "a candidate voted for itself (3.4)");
  must(!stands || core_.configurations_.votes_since(core_.commit(), core_.self()),
       "whose removal is committed does not stand (4.2.2)");
  must(core_.trust() == LogTrust::sound || !led, "who doubts its own log does not lead");
  must(core_.trust() != LogTrust::repairing || !stands, "who lacks entries does not stand");
  must(led || core_.peers_.empty(), "only a leader keeps progress");
  must(led || !core_.transfer_, "only a leader hands over");
}

void Inspector::peers() {
  for (size_t i = 0; i < core_.peers_.size(); ++i) {
    const Progress& peer = core_.peers_[i];
    must(i == 0 || core_.peers_[i - 1].identity < peer.identity, "each peer is known once");
    must(peer.identity != core_.self(), "a leader sends itself nothing");
    must(peer.match < peer.next, "what is durable at a peer is not sent again");
    must(peer.next <= core_.last_index() + 1, "nothing is sent before it is appended");
    must(peer.round <= core_.round_, "no round is answered before it was sent");
    must(peer.inflight.size() <= kInflightMessagesMax, "messages under way are bounded");
    must(peer.state == Progress::State::replicate || peer.inflight.empty(),
         "only a peer that agrees is sent ahead");
    uint64_t bytes = 0;
    for (const Progress::Sent& sent : peer.inflight) {
      must(sent.last > peer.match && sent.last < peer.next, "what is under way is not durable yet");
      bytes += sent.bytes;
    }
    must(bytes == peer.inflight_bytes, "bytes under way are counted");
    must(bytes <= kInflightBytesMax + kCommandBytesMax + kAppendBytesMax,
         "bytes under way are bounded");
  }
}

void Inspector::reads() {
  uint64_t before = 0;
  for (const Core::LeaderRead& read : core_.leader_reads_) {
    must(read.round >= before, "reads are answered in the order of their rounds");
    must(read.round <= core_.round_ + 1, "a read waits for the next round at most");
    before = read.round;
  }
  must(core_.role() == Role::leader || core_.leader_reads_.empty(),
       "only a leader answers reads (6.4)");
}

void Inspector::buffers() {
  must(core_.gone_.size() <= kGoneMax, "remembered deaths are bounded");
  must(core_.deferred_.size() <= kServersMax, "questions that wait for proof are bounded");
  const size_t asked = core_.asked_ ? core_.asked_->questions.size() : 0;
  must(core_.tickets_.size() + asked <= kReadTicketsMax, "reads that wait are bounded");
  must(core_.leader_reads_.size() <= kReadTicketsMax + kServersMax * kReadsPerAskerMax,
       "reads at the leader are bounded");
  must(core_.peers_.size() <= 3 * kServersMax, "peers are bounded");
}

void Inspector::configurations() {
  const Configuration& now = core_.configuration();
  const Index from = core_.configuration_index();
  must(from <= core_.last_index(), "a truncated configuration is reverted");
  // One that is committed may be a snapshot's.
  if (from > core_.commit() && from <= core_.last_index()) {
    must(core_.entry(from).kind == EntryKind::configuration,
         "a configuration in force is in the log (4.1)");
  }
  must(now.voters.size() <= kServersMax, "voters are bounded");
  must(std::is_sorted(now.voters.begin(), now.voters.end()), "voters are in order");
  must(!now.joint() || !now.voters.empty(), "a joint configuration has both sets");
}

std::optional<std::string> check(const Core& core) { return Inspector(core).inspect(); }

}  // namespace doozer::raft
