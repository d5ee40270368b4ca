// Logs that diverged (dissertation 3.5): where they agree is found in as many messages as there are
// terms, and what does not agree is cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

const Progress& peer(Member& one, size_t n) { return *one.core().progress(server_id(n)); }

TEST(Leader, ALogThatDivergedIsFoundInAsManyMessagesAsItHasTerms) {  // 3.5
  std::vector<uint64_t> ours;
  std::vector<uint64_t> theirs;
  for (int i = 0; i < 300; ++i) ours.push_back(1 + 2 * (static_cast<uint64_t>(i) / 100));
  for (int i = 0; i < 300; ++i)
    theirs.push_back(i < 50 ? 1 : 2 + 2 * (static_cast<uint64_t>(i) / 150));
  CoreOptions options = options_of(3, voters_to(3), theirs);
  options.hard_state.term = Term(6);
  Member three(std::move(options));
  CoreOptions one_options = options_of(1, voters_to(3), ours);
  one_options.hard_state.term = Term(6);
  Member one(std::move(one_options));
  one.elect({2});
  Output from_one = one.tick_next();
  size_t messages = 0;
  while (peer(one, 3).state != Progress::State::replicate) {
    ASSERT_LT(++messages, 12U) << "600 entries of few terms";
    Output from_three;
    for (const Send& send : from_one.sends) {
      if (send.to == server_id(3)) from_three = three.hear(1, to_message(send, one.core()));
    }
    const auto replies = said<AppendReply>(from_three, 1);
    const auto late = three.persist();
    for (const AppendReply& reply : replies) from_one = one.hear(3, reply);
    for (const AppendReply& reply : said<AppendReply>(late, 1)) from_one = one.hear(3, reply);
  }
  EXPECT_GE(peer(one, 3).next, Index(52));
}

/// Says all that `from` said to the other, and what follows from it, until nobody says more;
/// everything is durable at once. How many appends it took.
size_t talk(Member& one, Member& three, Output from_one) {
  size_t appends = 0;
  for (int turn = 0; turn < 100; ++turn) {
    std::vector<AppendReply> replies;
    for (const Send& send : from_one.sends) {
      if (send.to != server_id(3)) continue;
      ++appends;
      const Output heard = three.hear(1, to_message(send, one.core()));
      EXPECT_FALSE(heard.fatal);
      for (const AppendReply& reply : said<AppendReply>(heard, 1)) replies.push_back(reply);
      for (const AppendReply& reply : said<AppendReply>(three.persist(), 1)) {
        replies.push_back(reply);
      }
    }
    if (replies.empty()) return appends;
    from_one = Output();
    for (const AppendReply& reply : replies) {
      const Output said_next = one.hear(3, reply);
      for (const Send& send : said_next.sends) from_one.sends.push_back(send);
    }
  }
  ADD_FAILURE() << "they never end";
  return appends;
}

/// All logs behind entry 1 of up to four entries, as the terms of these.
std::vector<std::vector<uint64_t>> small_logs(uint64_t term_max) {
  std::vector<std::vector<uint64_t>> logs{{}};
  for (size_t i = 0; i < logs.size(); ++i) {
    if (logs[i].size() == 4) continue;
    for (uint64_t term = logs[i].empty() ? 1 : logs[i].back(); term <= term_max; ++term) {
      logs.push_back(logs[i]);
      logs.back().push_back(term);
    }
  }
  return logs;
}

/// An entry of one term was made once (3.5): what is in front of it is the same in both.
bool can_be(const std::vector<uint64_t>& ours, const std::vector<uint64_t>& theirs) {
  bool same = true;
  for (size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    const bool equal = ours[i] == theirs[i];
    if (equal && !same) return false;
    same = equal;
  }
  return true;
}

TEST(Leader, EveryPairOfSmallLogsIsMadeOneInAsManyMessagesAsThereAreTerms) {  // 3.5
  const auto logs = small_logs(4);
  size_t pairs = 0;
  for (const auto& ours : logs) {
    for (const auto& theirs : logs) {
      if (!can_be(ours, theirs)) continue;
      ++pairs;
      CoreOptions options = options_of(1, voters_to(3), ours);
      options.hard_state.term = Term(4);
      Member one(std::move(options));
      options = options_of(3, voters_to(3), theirs);
      options.hard_state.term = Term(4);
      Member three(std::move(options));
      one.wait(2 * kElectionTimeoutMaxUs);
      one.tick();
      one.hear(2, one.grant(true));
      one.persist();
      const size_t appends = talk(one, three, one.hear(2, one.grant(false)));
      std::string what = "ours:";
      for (const uint64_t term : ours) what += " " + std::to_string(term);
      what += ", theirs:";
      for (const uint64_t term : theirs) what += " " + std::to_string(term);
      ASSERT_EQ(three.core().last_index(), one.core().last_index()) << what;
      for (Index i(1); i <= one.core().last_index(); ++i) {
        ASSERT_EQ(three.core().term_of(i), one.core().term_of(i)) << what;
      }
      ASSERT_EQ(peer(one, 3).match, one.core().last_index()) << what;
      const std::set<uint64_t> terms(theirs.begin(), theirs.end());
      ASSERT_LE(appends, 2 * terms.size() + 4) << what;
    }
  }
  EXPECT_GT(pairs, 1'000U);
}

}  // namespace
}  // namespace doozer::raft
