// What a leader says, hears and commits: dissertation 3.5, 3.6.2, 10.2.1. One test a rule. What is
// under way to a peer: flow_test.cc; logs that diverged: conflict_test.cc.
#include <gtest/gtest.h>

#include <map>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

const Progress& peer(Member& one, size_t n) { return *one.core().progress(server_id(n)); }

TEST(Leader, AppendsInParallelWithSending) {  // 10.2.1
  Member one = leader_of_three();
  one.acknowledge(2);
  const Output out = one.propose("a");
  EXPECT_EQ(out.accepted_first, Index(3));
  EXPECT_EQ(out.append_first, Index(3));
  EXPECT_NE(out.persist_sequence, 0U);
  EXPECT_EQ(said<AppendRange>(out, 2).at(0).count, 1U);
}

TEST(Leader, CommitsWhatAMajorityHoldsDurably) {  // 3.5, 10.2.1
  Member one = leader_of_three();
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
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose("a");
  one.acknowledge(2);
  EXPECT_EQ(one.acknowledge(3).apply_to, Index(3));
  EXPECT_EQ(one.core().durable(), Index(2));
}

TEST(Leader, CommitsNoEntryOfAFormerTermByCounting) {  // 3.6.2, figure 3.7
  Member one = leader_of_three({2, 2});  // 3/2 is the last one; leads term 3, noop 4/3
  EXPECT_EQ(one.acknowledge(2, 3).apply_to, Index(1)) << "3/2 is on a majority";
  EXPECT_EQ(one.acknowledge(2, 4).apply_to, Index(4)) << "with an entry of its own term all are";
}

TEST(Leader, TellsTheNewCommitIndexAtOnce) {  // design 6: origins of writes apply soon
  Member one = leader_of_three();
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
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  const uint64_t round = said<AppendRange>(one.tick_next(), 2).at(0).head.round;
  const uint64_t sent = one.now_us();
  const Output out = one.tick_next();
  EXPECT_EQ(one.now_us() - sent, kHeartbeatUs);
  EXPECT_EQ(said<AppendRange>(out, 2).at(0).head.round, round + 1);
  EXPECT_EQ(said<AppendRange>(out, 3).size(), 1U);
}

TEST(Leader, AnOldRejectionMovesNothing) {  // 3.5: loss, doubling, delay
  Member one = leader_of_three({1, 1, 1});  // noop 5/2
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
  Member one = leader_of_three({1, 1, 1});
  one.acknowledge(3, 5);
  one.acknowledge(3, 3);
  EXPECT_EQ(peer(one, 3).match, Index(5));
}

TEST(Leader, AnswersOfFormerTermsAndLivesDoNotCount) {
  Member one = leader_of_three();
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
  Member one = leader_of_three();
  one.acknowledge(3);
  EXPECT_EQ(peer(one, 3).match, Index(2));
  const Output out = one.hear(3,
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
  EXPECT_EQ(peer(one, 3).state, Progress::State::probe);
  EXPECT_EQ(said<AppendRange>(out, 3).at(0).head.receiver, Incarnation(2)) << "it is told at once";
  EXPECT_EQ(said<AppendRange>(out, 3).at(0).head.acknowledged, Index(2)) << "and what it once had";
  AppendReply answer{
      .term = Term(2), .accepted = true, .match = Index(2), .agreed = Index(2), .round = 1};
  one.hear(3, answer, 2);
  ASSERT_EQ(peer(one, 3).state, Progress::State::replicate);
  answer.match = answer.agreed = Index(1);
  one.hear(3, answer, 3);
  EXPECT_EQ(peer(one, 3).state, Progress::State::probe) << "what was under way is lost";
}

TEST(Leader, KnowsSinceWhenAPeerIsSilent) {  // design 7
  Member one = leader_of_three();
  EXPECT_LT(peer(one, 3).silent_since_us, one.now_us() + 1);
  one.wait(1'000);
  one.acknowledge(3);
  EXPECT_EQ(peer(one, 3).silent_since_us, one.now_us());
  EXPECT_EQ(peer(one, 3).answered_us, one.now_us());
}

TEST(Leader, NobodyCanAgreeToWhatWasNeverSent) {
  Member one = leader_of_three();
  one.hear(
      3, AppendReply{
             .term = Term(2), .accepted = true, .match = Index(2), .agreed = Index(1), .round = 1});
  EXPECT_EQ(peer(one, 3).match, Index(0)) << "nor have durable what it does not agree to";
  one.hear(
      3, AppendReply{
             .term = Term(2), .accepted = true, .match = Index(9), .agreed = Index(9), .round = 1});
  EXPECT_EQ(peer(one, 3).match, Index(0));
  EXPECT_EQ(one.core().commit(), Index(1));
}

TEST(Leader, RefusesWhatItCannotHold) {  // every buffer has a limit
  Member one = leader_of_three();
  const std::string large(kCommandBytesMax, 'x');
  Output out;
  for (int i = 0; i < 20 && !out.refused; ++i) out = one.propose(large);
  EXPECT_TRUE(out.refused);
  EXPECT_EQ(out.reason.code, Code::busy);
}

TEST(Leader, EachVoterIsToldItsPlaceInTheRaceForItsSuccession) {  // design 6
  Member one(options_of(1, voters_to(5)));
  one.elect({2, 3});
  one.step(SetStandbys{{server_id(6)}});
  one.propose("a");
  one.propose("b");  // entry 4
  const auto answer = [&](size_t n, uint64_t match, bool counts, bool willing) {
    one.hear(n, AppendReply{.term = Term(2),
                            .accepted = true,
                            .counts = counts,
                            .willing = willing,
                            .match = Index(match),
                            .agreed = Index(match)});
  };
  answer(2, 2, true, true);
  answer(3, 3, true, true);
  answer(4, 4, false, true);
  answer(5, 4, true, false);
  answer(6, 4, true, true);
  const Output out = one.tick_next();
  const std::map<size_t, uint8_t> places{{3, 0}, {2, 1}, {4, 2}, {5, 3}, {6, kRankUnknown}};
  for (const auto& [n, place] : places) {
    EXPECT_EQ(said<AppendRange>(out, n).at(0).head.rank, place) << n;
  }
}

}  // namespace
}  // namespace doozer::raft
