// One core in the hands of a test that plays all others: it is told messages, and what it says is
// looked at. After each step its invariants are checked.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "raft/core.h"
#include "raft/invariants.h"
#include "raft/testing/network.h"

namespace doozer::raft {

/// Servers 1 .. count.
inline Configuration voters_to(size_t count) {
  Configuration configuration;
  for (size_t n = 1; n <= count; ++n) configuration.voters.push_back(server_id(n));
  return configuration;
}

inline Configuration voters_of(const std::vector<size_t>& now,
                               const std::vector<size_t>& old = {}) {
  Configuration configuration;
  for (const size_t n : now) configuration.voters.push_back(server_id(n));
  for (const size_t n : old) configuration.old_voters.push_back(server_id(n));
  return configuration;
}

/// An entry whose payload tells its place.
inline Entry command_at(uint64_t index, uint64_t term) {
  return {.index = Index(index),
          .term = Term(term),
          .kind = EntryKind::command,
          .payload = std::to_string(index) + "/" + std::to_string(term)};
}

inline Entry configuration_at(uint64_t index, uint64_t term, const Configuration& configuration) {
  return {.index = Index(index),
          .term = Term(term),
          .kind = EntryKind::configuration,
          .payload = encode_configuration(configuration)};
}

/// What server `n` begins with: entry 1 makes the configuration, `terms` are those of entries 2 ..;
/// its own term is that of the last one.
inline CoreOptions options_of(size_t n, const Configuration& configuration,
                              const std::vector<uint64_t>& terms = {}) {
  CoreOptions options;
  options.self = server_id(n);
  options.seed = n;
  options.configurations = {{.index = Index(1), .configuration = configuration}};
  options.entries.push_back(configuration_at(1, 1, configuration));
  for (const uint64_t term : terms) {
    options.entries.push_back(command_at(options.entries.size() + 1, term));
  }
  options.last_index = options.entries.back().index;
  options.last_term = options.entries.back().term;
  options.hard_state = {.term = options.last_term, .vote = Identity(), .commit = Index(1)};
  options.applied = Index(1);
  options.now_us = 1'000'000;
  // The window may begin below what is applied.
  options.below = {};
  return options;
}

class Member {
 public:
  explicit Member(CoreOptions options) : core_(Core::make(std::move(options))) {}

  Core& core() { return core_; }
  uint64_t now_us() const { return now_us_; }
  void wait(uint64_t us) { now_us_ += us; }

  Output step(Event event) {
    Output out = core_.step({.now_us = now_us_, .event = std::move(event)});
    if (out.persist_sequence != 0) sequence_ = out.persist_sequence;
    deadline_us_ = out.next_deadline_us;
    const auto wrong = check(core_);
    EXPECT_FALSE(wrong) << *wrong;
    return out;
  }
  /// Whatever was asked for is durable now.
  Output persist() { return step(Persisted{sequence_}); }
  Output tick() { return step(Tick{}); }
  /// Goes to the next deadline, and ticks.
  Output tick_next() {
    now_us_ = std::max(now_us_, deadline_us_);
    return tick();
  }
  uint64_t deadline_us() const { return deadline_us_; }
  Output hear(size_t from, Message message, uint64_t incarnation = 1) {
    return step(Receive{.from = server_id(from),
                        .from_incarnation = Incarnation(incarnation),
                        .message = std::move(message)});
  }
  Output propose(const std::string& payload) {
    Propose batch;
    batch.proposals.push_back({.kind = EntryKind::command, .payload = payload});
    return step(std::move(batch));
  }
  /// Lets it become the leader with the votes of `voters`; its noop is durable here, nowhere else.
  void elect(const std::vector<size_t>& voters) {
    wait(2 * kElectionTimeoutMaxUs);
    tick();
    if (core_.role() == Role::follower) tick_next();  // that was late; now it is silence
    for (const size_t n : voters) hear(n, grant(true));
    persist();
    for (const size_t n : voters) hear(n, grant(false));
    ASSERT_EQ(core_.role(), Role::leader);
    persist();
  }
  /// A vote in the current candidacy.
  VoteReply grant(bool pre) const {
    return {.term = core_.term(),
            .asked_term = pre ? core_.term() + 1 : core_.term(),
            .pre = pre,
            .granted = true};
  }
  /// Peer `n` has everything durable that this leader has, up to `index` (0: all).
  Output acknowledge(size_t n, uint64_t index = 0, uint64_t round = 0) {
    const Index to = index == 0 ? core_.last_index() : Index(index);
    return hear(
        n, AppendReply{
               .term = core_.term(), .accepted = true, .match = to, .agreed = to, .round = round});
  }

 private:
  Core core_;
  uint64_t now_us_ = 1'000'000;
  uint64_t sequence_ = 0;
  uint64_t deadline_us_ = 0;
};

/// What `out` says to server `n`, of one kind; all of them in order.
template <typename T>
std::vector<T> said(const Output& out, size_t n) {
  std::vector<T> found;
  for (const Send& send : out.sends) {
    const T* const message = std::get_if<T>(&send.message);
    if (message != nullptr && send.to == server_id(n)) found.push_back(*message);
  }
  return found;
}

/// Server 1 of three, leader of term 2 (or one above its log's), heard of by 2 in this term.
inline Member leader_of_three(const std::vector<uint64_t>& terms = {}) {
  Member one(options_of(1, voters_to(3), terms));
  one.elect({2});
  return one;
}

/// The same, with its noop (2) committed and everywhere.
inline Member settled_leader() {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  return one;
}

/// The head of a message of the leader of `term`.
inline LeaderHead head_of(uint64_t term, uint64_t commit = 0, uint64_t round = 1) {
  return {.term = Term(term),
          .commit = Index(commit),
          .last_index = Index(1'000'000),
          .round = round,
          .receiver = Incarnation(1),
          .acknowledged = {},
          .rank = 0};
}

inline Append append_after(uint64_t index, uint64_t prev_term, uint64_t leader_term,
                           const std::vector<uint64_t>& terms, uint64_t commit = 0) {
  Append append{.head = head_of(leader_term, commit),
                .prev = {.index = Index(index), .term = Term(prev_term)},
                .entries = {}};
  for (const uint64_t term : terms) append.entries.push_back(command_at(++index, term));
  return append;
}

inline RequestVote ask_vote(uint64_t term, uint64_t last_index, uint64_t last_term) {
  return {.term = Term(term),
          .last_index = Index(last_index),
          .last_term = Term(last_term),
          .gone = {}};
}

inline RequestVote ask_pre_vote(uint64_t term, uint64_t last_index, uint64_t last_term) {
  RequestVote request = ask_vote(term, last_index, last_term);
  request.pre = true;
  return request;
}

}  // namespace doozer::raft
