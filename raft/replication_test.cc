// The rules of replication: dissertation 3.5, 3.6.2, 6.2, 10.2.1, and what a slow or broken peer
// may cost. One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

/// Server 1 of three, leader of term 2 (or one above its log's), heard of by 2 in this term.
Member leader(const std::vector<uint64_t>& terms = {}) {
  Member one(options_of(1, voters_to(3), terms));
  one.elect({2});
  return one;
}

const Progress& peer(Member& one, size_t n) { return *one.core().progress(server_id(n)); }

// --- The leader

TEST(Leader, AppendsInParallelWithSending) {  // 10.2.1
  Member one = leader();
  one.acknowledge(2);
  const Output out = one.propose("a");
  EXPECT_EQ(out.accepted_first, Index(3));
  EXPECT_EQ(out.append_first, Index(3));
  EXPECT_NE(out.persist_sequence, 0U);
  EXPECT_EQ(said<AppendRange>(out, 2).at(0).count, 1U);
}

TEST(Leader, CommitsWhatAMajorityHoldsDurably) {  // 3.5, 10.2.1
  Member one = leader();
  one.acknowledge(2);
  EXPECT_EQ(one.core().commit(), Index(2));
  one.propose("a");
  EXPECT_EQ(one.acknowledge(2).apply_to, Index(2)) << "not durable here yet";
  EXPECT_EQ(one.persist().apply_to, Index(3)) << "it is now, and at 2";
  one.propose("b");
  EXPECT_EQ(one.persist().apply_to, Index(3)) << "durable only here";
  EXPECT_EQ(one.acknowledge(3).apply_to, Index(4));
}

TEST(Leader, MayCommitWithoutItsOwnDisk) {  // 10.2.1
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose("a");
  one.acknowledge(2);
  EXPECT_EQ(one.acknowledge(3).apply_to, Index(3));
  EXPECT_EQ(one.core().durable(), Index(2));
}

TEST(Leader, CommitsNoEntryOfAFormerTermByCounting) {  // 3.6.2, figure 3.7
  Member one = leader({2, 2});  // 3/2 is the last one; leads term 3, noop 4/3
  EXPECT_EQ(one.acknowledge(2, 3).apply_to, Index(1)) << "3/2 is on a majority";
  EXPECT_EQ(one.acknowledge(2, 4).apply_to, Index(4)) << "with an entry of its own term all are";
}

TEST(Leader, TellsTheNewCommitIndexAtOnce) {  // design 6: origins of writes apply soon
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose("a");
  one.persist();
  const Output out = one.acknowledge(2);
  for (const size_t n : {2U, 3U}) {
    const auto notices = said<AppendRange>(out, n);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].head.commit, Index(3));
    EXPECT_EQ(notices[0].count, 0U);
    EXPECT_EQ(notices[0].prev, LogPosition()) << "nobody can reject it";
  }
}

TEST(Leader, SendsHeartbeats) {  // 3.4, 6.2
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  const uint64_t round = said<AppendRange>(one.tick_next(), 2).at(0).head.round;
  const uint64_t sent = one.now_us();
  const Output out = one.tick_next();
  EXPECT_EQ(one.now_us() - sent, kHeartbeatUs);
  EXPECT_EQ(said<AppendRange>(out, 2).at(0).head.round, round + 1);
  EXPECT_EQ(said<AppendRange>(out, 3).size(), 1U);
}

TEST(Leader, ProbesUntilItAgreesAndThenSendsAhead) {  // 10.2.1
  Member one = leader();
  EXPECT_EQ(peer(one, 2).state, Progress::State::probe);
  EXPECT_TRUE(said<AppendRange>(one.propose("a"), 2).empty()) << "the probe is under way";
  const auto rest = said<AppendRange>(one.acknowledge(2, 2), 2);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].prev.index, Index(2));
  EXPECT_EQ(peer(one, 2).state, Progress::State::replicate);
  for (uint64_t i = 4; i < 8; ++i) {
    EXPECT_EQ(said<AppendRange>(one.propose("b"), 2).at(0).prev.index, Index(i - 1))
        << "without waiting for answers";
  }
}

TEST(Leader, ASilentPeerCostsOneProbeAHeartbeatAndNoLoad) {
  Member one = leader();
  one.acknowledge(2);
  one.propose("a");
  for (int i = 0; i < 5; ++i) {
    const auto sent = said<AppendRange>(one.tick_next(), 3);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].count, 0U);
    one.acknowledge(2);
  }
}

TEST(Leader, WhatIsUnderWayToOnePeerIsBounded) {
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  uint64_t sent = 0;
  for (size_t i = 0; i < kInflightMessagesMax + 50; ++i) {
    sent += said<AppendRange>(one.propose("x"), 3).size();
  }
  EXPECT_EQ(sent, kInflightMessagesMax);
  const auto rest = said<AppendRange>(one.acknowledge(3, 3), 3);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].count, 50U) << "what gathered goes in one message";

  Member two = leader();
  two.acknowledge(3);
  uint64_t bytes = 0;
  for (size_t i = 0; i < 200; ++i) {
    for (const AppendRange& append : said<AppendRange>(two.propose(std::string(60'000, 'x')), 3)) {
      bytes += append.count * 60'000;
    }
  }
  EXPECT_LE(bytes, kInflightBytesMax + kAppendBytesMax);
  EXPECT_GE(bytes, kInflightBytesMax - kAppendBytesMax);
}

TEST(Leader, AMessageIsBoundedAndALargerEntryGoesAlone) {
  Member one = leader();
  one.acknowledge(3);
  Propose batch;
  for (const size_t size : {40'000U, 20'000U, 20'000U, 70'000U, 10U}) {
    batch.proposals.push_back({.kind = EntryKind::command, .payload = std::string(size, 'x')});
  }
  const Output out = one.step(std::move(batch));
  const auto sent = said<AppendRange>(out, 3);
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_EQ(sent[0].count, 2U);
  EXPECT_EQ(sent[1].count, 1U);
  EXPECT_EQ(sent[2].count, 1U);
  std::vector<bool> bulk;
  for (const Send& send : out.sends) {
    if (send.to == server_id(3)) bulk.push_back(send.bulk);
  }
  EXPECT_EQ(bulk, (std::vector<bool>{false, false, true, true}))
      << "the small one must not overtake the large one";
  one.acknowledge(3);
  const Output after = one.propose("small");
  for (const Send& send : after.sends) EXPECT_FALSE(send.bulk);
}

TEST(Leader, ALargeAppendUnderWayIsNotTakenForLost) {
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose(std::string(2 * kAppendBytesMax, 'x'));  // entry 3
  const AppendReply rejection{.term = Term(2),
                              .match = Index(2),
                              .agreed = Index(2),
                              .round = 1,
                              .rejected = Index(3),
                              .hint = {.index = Index(2), .term = Term(2)}};
  EXPECT_TRUE(said<AppendRange>(one.hear(3, rejection), 3).empty());
  one.wait(kBulkRetryUs);
  EXPECT_FALSE(said<AppendRange>(one.hear(3, rejection), 3).empty()) << "by now it is";
}

// A busy leader sends small ones behind the large one all the time, by the same connection.
TEST(Leader, ALostLargeAppendIsFoundThoughMoreIsSentBehindIt) {
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose(std::string(2 * kAppendBytesMax, 'x'));  // entry 3, lost on its way to server 3
  bool again = false;
  for (uint64_t us = 0; us <= 2 * kBulkRetryUs && !again; us += kHeartbeatUs) {
    one.wait(kHeartbeatUs);
    const Output behind = one.propose("small");
    one.acknowledge(2);
    const auto sent = said<AppendRange>(behind, 3);
    ASSERT_FALSE(sent.empty());
    const AppendReply rejection{.term = Term(2),
                                .match = Index(2),
                                .agreed = Index(2),
                                .round = 1,
                                .rejected = sent.front().prev.index,
                                .hint = {.index = Index(2), .term = Term(2)}};
    for (const AppendRange& append : said<AppendRange>(one.hear(3, rejection), 3)) {
      again = again || append.prev.index == Index(2);
    }
  }
  EXPECT_TRUE(again);
}

// As long as something arrives, what is behind it is on its way.
TEST(Leader, LargeAppendsThatArriveSlowlyAreNotTakenForLost) {
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  for (size_t i = 0; i < 4; ++i) one.propose(std::string(2 * kAppendBytesMax, 'x'));  // 3 to 6
  for (uint64_t index = 3; index <= 5; ++index) {
    one.wait(kBulkRetryUs - 1);
    one.hear(3, AppendReply{.term = Term(2),
                            .accepted = true,
                            .match = Index(index),
                            .agreed = Index(index),
                            .round = 1});
    const AppendReply rejection{.term = Term(2),
                                .match = Index(index),
                                .agreed = Index(index),
                                .round = 1,
                                .rejected = Index(6),
                                .hint = {.index = Index(index), .term = Term(2)}};
    EXPECT_TRUE(said<AppendRange>(one.hear(3, rejection), 3).empty()) << index;
  }
}

TEST(Leader, ALostAppendIsFoundByTheNextHeartbeat) {
  Member one = leader();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose("lost");  // entry 3
  const auto heartbeat = said<AppendRange>(one.tick_next(), 3);
  ASSERT_EQ(heartbeat.size(), 1U);
  EXPECT_EQ(heartbeat[0].prev.index, Index(3));
  const auto again =
      said<AppendRange>(one.hear(3, AppendReply{.term = Term(2),
                                                .match = Index(2),
                                                .agreed = Index(2),
                                                .round = 2,
                                                .rejected = Index(3),
                                                .hint = {.index = Index(2), .term = Term(2)}}),
                        3);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].prev.index, Index(2));
  EXPECT_EQ(again[0].count, 1U);
}

TEST(Leader, AnOldRejectionMovesNothing) {  // 3.5: loss, doubling, delay
  Member one = leader({1, 1, 1});           // noop 5/2
  one.acknowledge(3, 5);
  AppendReply old{.term = Term(2),
                  .match = Index(0),
                  .agreed = Index(0),
                  .round = 1,
                  .rejected = Index(4),
                  .hint = {.index = Index(1), .term = Term(1)}};
  one.hear(3, old);
  EXPECT_EQ(peer(one, 3).match, Index(5));
  EXPECT_EQ(peer(one, 3).next, Index(6));
  EXPECT_EQ(peer(one, 3).state, Progress::State::replicate);
  one.propose("a");  // entry 6, under way
  old.rejected = Index(6);
  one.hear(3, old);
  EXPECT_EQ(peer(one, 3).next, Index(6)) << "never at or below what is durable there";
}

TEST(Leader, AnOldAcknowledgementMovesNothingBack) {
  Member one = leader({1, 1, 1});
  one.acknowledge(3, 5);
  one.acknowledge(3, 3);
  EXPECT_EQ(peer(one, 3).match, Index(5));
}

TEST(Leader, AnswersOfFormerTermsAndLivesDoNotCount) {
  Member one = leader();
  one.hear(
      3,
      AppendReply{
          .term = Term(2), .accepted = true, .match = Index(1), .agreed = Index(1), .round = 1},
      5);
  one.hear(
      3,
      AppendReply{
          .term = Term(1), .accepted = true, .match = Index(2), .agreed = Index(2), .round = 1},
      5);
  EXPECT_EQ(peer(one, 3).match, Index(1)) << "of a term before";
  one.hear(
      3,
      AppendReply{
          .term = Term(2), .accepted = true, .match = Index(2), .agreed = Index(2), .round = 1},
      4);
  EXPECT_EQ(peer(one, 3).match, Index(1)) << "of a life before";
  EXPECT_EQ(one.core().commit(), Index(1));
}

TEST(Leader, ANewLifeOfAPeerIsAskedFromTheStart) {  // design 5: it may have lost what it promised
  Member one = leader();
  one.acknowledge(3);
  EXPECT_EQ(peer(one, 3).match, Index(2));
  one.hear(3,
           AppendReply{.term = Term(2),
                       .counts = false,
                       .match = Index(1),
                       .agreed = Index(1),
                       .round = 1,
                       .rejected = Index(2),
                       .hint = {.index = Index(1), .term = Term(1)}},
           2);
  EXPECT_EQ(peer(one, 3).match, Index(1));
  EXPECT_EQ(peer(one, 3).incarnation, Incarnation(2));
}

TEST(Leader, NobodyCanAgreeToWhatWasNeverSent) {
  Member one = leader();
  one.hear(
      3, AppendReply{
             .term = Term(2), .accepted = true, .match = Index(9), .agreed = Index(9), .round = 1});
  EXPECT_EQ(peer(one, 3).match, Index(0));
  EXPECT_EQ(one.core().commit(), Index(1));
}

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

TEST(Leader, RefusesWhatItCannotHold) {  // every buffer has a limit
  Member one = leader();
  const std::string large(kCommandBytesMax, 'x');
  Output out;
  for (int i = 0; i < 20 && !out.refused; ++i) out = one.propose(large);
  EXPECT_TRUE(out.refused);
  EXPECT_EQ(out.reason.code, Code::busy);
}

TEST(Follower, ProposalsAreRefused) {
  Member three(options_of(3, voters_to(3)));
  const Output out = three.propose("a");
  EXPECT_TRUE(out.refused);
  EXPECT_EQ(out.reason.code, Code::read_only);
  EXPECT_EQ(out.accepted_first, Index(0));
}

// --- The follower

struct Taking {
  const char* what;
  std::vector<uint64_t> log;  ///< terms of entries 2 ..
  Append append;
  bool accepted;
  std::vector<uint64_t> after;
};

TEST(Follower, TakesWhatAgreesAndCutsWhatDoesNot) {  // 3.5, figure 3.6
  const Taking cases[] = {
      {"the next one", {1}, append_after(2, 1, 3, {3}), true, {1, 3}},
      {"a gap", {1}, append_after(3, 1, 3, {3}), false, {1}},
      {"another term before", {2}, append_after(2, 1, 3, {3}), false, {2}},
      {"what it has", {1, 2}, append_after(1, 1, 3, {1, 2}), true, {1, 2}},
      {"less than it has", {1, 2, 2}, append_after(1, 1, 3, {1}), true, {1, 2, 2}},
      {"nothing", {1, 2, 2}, append_after(2, 1, 3, {}), true, {1, 2, 2}},
      {"a conflict", {1, 2, 2}, append_after(1, 1, 3, {1, 3}), true, {1, 3}},
      {"a conflict in between", {1, 2, 2, 2}, append_after(2, 1, 3, {2, 3, 3}), true, {1, 2, 3, 3}},
      {"from the very start", {}, append_after(0, 0, 3, {}), true, {}},
  };
  for (const Taking& c : cases) {
    Member three(options_of(3, voters_to(3), c.log));
    const Output out = three.hear(1, c.append);
    const Output later = three.persist();
    std::vector<AppendReply> replies = said<AppendReply>(out, 1);
    for (const AppendReply& reply : said<AppendReply>(later, 1)) replies.push_back(reply);
    ASSERT_FALSE(replies.empty()) << c.what;
    EXPECT_EQ(replies.back().accepted, c.accepted) << c.what;
    std::vector<uint64_t> terms;
    for (Index i(2); i <= three.core().last_index(); ++i) {
      terms.push_back(three.core().entry(i).term.value());
    }
    EXPECT_EQ(terms, c.after) << c.what;
  }
}

TEST(Follower, AcknowledgesWhatIsDurableAndNoMore) {  // 3.8
  Member three(options_of(3, voters_to(3)));
  three.hear(1, append_after(1, 1, 1, {}));
  const Output out = three.hear(1, append_after(1, 1, 1, {1, 1}));
  EXPECT_TRUE(out.sends.empty());
  EXPECT_EQ(out.append_first, Index(2));
  EXPECT_EQ(out.append_last, Index(3));
  Append heartbeat = append_after(3, 1, 1, {});
  heartbeat.head.round = 2;
  const AppendReply early = said<AppendReply>(three.hear(1, heartbeat), 1).at(0);
  EXPECT_EQ(early.match, Index(1));
  EXPECT_EQ(early.agreed, Index(3));
  EXPECT_EQ(early.round, 2U) << "a round needs no disk";
  EXPECT_EQ(said<AppendReply>(three.persist(), 1).at(0).match, Index(3));
}

TEST(Follower, AnAnswerOfANewTermWaitsForTheTermToBeDurable) {  // 3.3, 3.8
  Member three(options_of(3, voters_to(3)));
  EXPECT_TRUE(three.hear(1, append_after(1, 1, 4, {})).sends.empty());
  const auto replies = said<AppendReply>(three.persist(), 1);
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].term, Term(4));
}

TEST(Follower, AcknowledgesOnlyWhatIsTheLeaders) {  // 3.5: what follows may still be cut
  Member three(options_of(3, voters_to(3), {1, 1, 1}));
  Append append = append_after(2, 1, 3, {});
  three.hear(1, append);
  const AppendReply reply = said<AppendReply>(three.persist(), 1).at(0);
  EXPECT_EQ(reply.match, Index(2)) << "3 and 4 are durable, but maybe not the leader's";
}

TEST(Follower, CommitsNoFurtherThanWhatIsTheLeaders) {  // 3.5
  Member three(options_of(3, voters_to(3), {1, 1, 1}));
  EXPECT_EQ(three.hear(1, append_after(2, 1, 3, {}, 4)).apply_to, Index(2));
  EXPECT_EQ(three.hear(1, append_after(2, 1, 3, {3}, 3)).apply_to, Index(3));
}

TEST(Follower, WhatWasCutIsNoLongerDurable) {  // the disk still reports the batch that held it
  Member three(options_of(3, voters_to(3), {1}));
  const Output old = three.hear(1, append_after(2, 1, 2, {2, 2}));  // 3, 4 on their way
  const Output cut = three.hear(2, append_after(2, 1, 3, {3}));     // 3 again
  EXPECT_EQ(cut.truncate_from, Index(3));
  EXPECT_EQ(cut.append_first, Index(3));
  three.step(Persisted{old.persist_sequence});
  EXPECT_EQ(three.core().durable(), Index(2));
  three.step(Persisted{cut.persist_sequence});
  EXPECT_EQ(three.core().durable(), Index(3));
}

TEST(Follower, StoredCommitNeverPassesTheDurableLog) {
  Member three(options_of(3, voters_to(3)));
  const Output out = three.hear(1, append_after(1, 1, 2, {2, 2}, 3));
  EXPECT_EQ(out.apply_to, Index(3)) << "a majority has it";
  ASSERT_TRUE(out.hard_state);
  EXPECT_EQ(out.hard_state->commit, Index(1));
  three.persist();
  EXPECT_EQ(three.hear(1, append_after(3, 2, 2, {2}, 3)).hard_state->commit, Index(3));
}

TEST(Follower, ADoubledAppendIsAnsweredAgain) {  // its first answer may be lost
  Member three(options_of(3, voters_to(3)));
  const Append append = append_after(1, 1, 1, {1});
  three.hear(1, append);
  three.persist();
  const Output out = three.hear(1, append);
  EXPECT_FALSE(out.hard_state);
  EXPECT_EQ(said<AppendReply>(out, 1).at(0).match, Index(2));
}

TEST(Follower, AContradictionOfWhatIsCommittedStopsTheServer) {  // 3.6.3
  Member three(options_of(3, voters_to(3), {1, 1}));
  three.hear(1, append_after(3, 1, 1, {}, 3));
  EXPECT_TRUE(three.hear(1, append_after(2, 1, 2, {2})).fatal);
  EXPECT_EQ(three.core().last_index(), Index(3)) << "nothing is cut";
  EXPECT_TRUE(three.hear(1, append_after(2, 2, 3, {})).fatal);
}

TEST(Follower, TakesNoMoreThanItCanHoldUnapplied) {
  Member three(options_of(3, voters_to(3)));
  uint64_t last = 1;
  for (int i = 0; i < 300; ++i) {
    Append append = append_after(last, 1, 1, {1});
    append.entries[0].payload.assign(kMiB, 'x');
    three.hear(1, std::move(append));
    three.persist();
    last = three.core().last_index().value();
  }
  EXPECT_LE(last * kMiB, kUnappliedBytesMax + 2 * kMiB);
  three.hear(1, append_after(last, 1, 1, {}, last));
  three.step(AppliedTo{Index(last)});
  three.hear(1, append_after(last, 1, 1, {1}));
  EXPECT_EQ(three.core().last_index(), Index(last + 1)) << "and goes on";
}

TEST(Follower, AHangingDiskDoesNotMakeItsAnswersPileUp) {
  Member three(options_of(3, voters_to(3)));
  for (uint64_t round = 1; round < 1'000; ++round) {
    Append heartbeat = append_after(1, 1, 9, {});
    heartbeat.head.round = round;
    EXPECT_TRUE(three.hear(1, heartbeat).sends.empty());
  }
  const Output out = three.persist();
  ASSERT_EQ(out.sends.size(), 1U);
  EXPECT_EQ(said<AppendReply>(out, 1).at(0).round, 999U);
}

}  // namespace
}  // namespace doozer::raft
