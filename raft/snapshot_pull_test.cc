#include "raft/snapshot_pull.h"

#include <gtest/gtest.h>

#include <map>

#include "base/limits.h"
#include "base/rng.h"
#include "raft/testing/network.h"

namespace doozer::raft {
namespace {

using Pull = SnapshotPull;

constexpr LogPosition kPoint{.index = Index(100), .term = Term(3)};

SnapshotOnOffer offer(uint64_t chunks, uint64_t index = 100) {
  return {.point = {.index = Index(index), .term = Term(3)},
          .chunks = chunks,
          .digest = {.low = index, .high = chunks}};
}

Pull::Want want(size_t from, uint64_t index = 100) {
  return {.wanted = {.from = server_id(from), .point = {.index = Index(index), .term = Term(3)}}};
}

Pull::Chunk chunk(size_t from, uint64_t number, const LogPosition& point = kPoint) {
  return {.from = server_id(from),
          .point = point,
          .number = number,
          .bytes = "chunk " + std::to_string(number)};
}

/// A pull that has begun one of `chunks` chunks from server 1, at 1 s.
Pull begun(uint64_t chunks) {
  Pull pull;
  pull.step({.now_us = 1'000'000, .event = want(1)});
  pull.step({.now_us = 1'000'000, .event = Pull::Answer{server_id(1), offer(chunks)}});
  return pull;
}

TEST(SnapshotPull, AsksTheOffererAndWhoeverIsReachable) {
  Pull pull;
  EXPECT_TRUE(pull.idle());
  pull.step({.now_us = 1, .event = Pull::Servers{{server_id(2), server_id(3)}}});
  const auto out = pull.step({.now_us = 2, .event = want(1)});
  EXPECT_EQ(out.ask, (std::vector{server_id(2), server_id(3), server_id(1)}));
  EXPECT_EQ(out.ask_from, Index(100));
  EXPECT_EQ(out.next_deadline_us, 2 + kPullAskUs);
  EXPECT_TRUE(pull.step({.now_us = 3, .event = want(1)}).ask.empty()) << "once is enough";
  EXPECT_EQ(pull.step({.now_us = 2 + kPullAskUs, .event = Pull::Tick{}}).ask.size(), 3U);
}

TEST(SnapshotPull, NoMoreThanTheWindowIsUnderWayOrNotTaken) {
  Pull pull;
  pull.step({.now_us = 1, .event = want(1)});
  const auto out = pull.step({.now_us = 2, .event = Pull::Answer{server_id(1), offer(9)}});
  EXPECT_EQ(out.begin, offer(9));
  ASSERT_EQ(out.chunks.size(), kPullWindow);
  EXPECT_EQ(out.chunks[3].number, 3U);
  const auto first = pull.step({.now_us = 3, .event = chunk(1, 0)});
  EXPECT_EQ(first.taken, std::vector<std::string>{"chunk 0"});
  EXPECT_TRUE(first.chunks.empty()) << "it was given out but not taken yet";
  const auto next = pull.step({.now_us = 4, .event = Pull::Taken{1}});
  ASSERT_EQ(next.chunks.size(), 1U);
  EXPECT_EQ(next.chunks[0].number, 4U);
}

TEST(SnapshotPull, ChunksAreGivenOutInOrderAndOnce) {
  Pull pull = begun(4);
  EXPECT_TRUE(pull.step({.now_us = 1'000'001, .event = chunk(1, 2)}).taken.empty());
  EXPECT_TRUE(pull.step({.now_us = 1'000'002, .event = chunk(1, 1)}).taken.empty());
  EXPECT_EQ(pull.step({.now_us = 1'000'003, .event = chunk(1, 0)}).taken,
            (std::vector<std::string>{"chunk 0", "chunk 1", "chunk 2"}));
  EXPECT_TRUE(pull.step({.now_us = 1'000'004, .event = chunk(1, 1)}).taken.empty()) << "again";
  EXPECT_EQ(pull.step({.now_us = 1'000'005, .event = chunk(1, 3)}).taken.size(), 1U);
  EXPECT_FALSE(pull.step({.now_us = 1'000'006, .event = Pull::Taken{3}}).complete);
  EXPECT_TRUE(pull.step({.now_us = 1'000'007, .event = Pull::Taken{4}}).complete);
  EXPECT_TRUE(pull.idle());
}

TEST(SnapshotPull, WhatIsNotOfTheSnapshotOrNotOfASourceIsIgnored) {
  Pull pull = begun(4);
  const LogPosition other{.index = Index(100), .term = Term(2)};
  EXPECT_TRUE(pull.step({.now_us = 1'000'001, .event = chunk(1, 0, other)}).taken.empty());
  EXPECT_TRUE(pull.step({.now_us = 1'000'001, .event = chunk(2, 0)}).taken.empty());
  EXPECT_TRUE(pull.step({.now_us = 1'000'001, .event = chunk(1, 4)}).taken.empty());
  Pull::Chunk large = chunk(1, 0);
  large.bytes.assign(kSnapshotChunkBytes + 1, 'x');
  EXPECT_TRUE(pull.step({.now_us = 1'000'001, .event = large}).taken.empty());
  EXPECT_FALSE(pull.step({.now_us = 1'000'001, .event = Pull::Taken{9}}).complete);
  EXPECT_EQ(pull.step({.now_us = 1'000'001, .event = chunk(1, 0)}).taken.size(), 1U);
}

TEST(SnapshotPull, ALostChunkIsAskedForAgainElsewhere) {
  Pull pull = begun(2);
  pull.step({.now_us = 1'000'001, .event = Pull::Answer{server_id(2), offer(2)}});
  pull.step({.now_us = 1'000'002, .event = chunk(1, 1)});
  EXPECT_TRUE(pull.step({.now_us = 1'999'999, .event = Pull::Tick{}}).chunks.empty());
  const auto out = pull.step({.now_us = 1'000'000 + kPullChunkUs, .event = Pull::Tick{}});
  ASSERT_EQ(out.chunks.size(), 1U);
  EXPECT_EQ(out.chunks[0].number, 0U);
  EXPECT_EQ(out.chunks[0].to, server_id(2));
}

TEST(SnapshotPull, ASourceThatFailsOftenIsGivenUp) {
  Pull pull = begun(1);
  uint64_t now = 1'000'000;
  for (size_t i = 0; i + 1 < kPullFailuresMax; ++i) {
    now += kPullChunkUs;
    EXPECT_EQ(pull.step({.now_us = now, .event = Pull::Tick{}}).chunks.size(), 1U);
  }
  now += kPullChunkUs;
  const auto out = pull.step({.now_us = now, .event = Pull::Tick{}});
  EXPECT_TRUE(out.chunks.empty());
  EXPECT_EQ(out.ask, std::vector{server_id(1)}) << "somebody may have it";
}

TEST(SnapshotPull, AnotherSourceOfTheSameSnapshotGoesOnWhereTheLastOneStopped) {
  Pull pull = begun(6);
  for (uint64_t i = 0; i < 3; ++i) pull.step({.now_us = 1'000'001, .event = chunk(1, i)});
  pull.step({.now_us = 1'000'002, .event = Pull::Taken{3}});
  const auto lost = pull.step({.now_us = 1'000'003, .event = Pull::Gone{server_id(1), kPoint}});
  EXPECT_EQ(lost.ask, std::vector{server_id(1)});
  const auto out = pull.step({.now_us = 1'000'004, .event = Pull::Answer{server_id(3), offer(6)}});
  EXPECT_FALSE(out.begin);
  ASSERT_EQ(out.chunks.size(), 3U);
  EXPECT_EQ(out.chunks[0].number, 3U);
  EXPECT_EQ(out.chunks[0].to, server_id(3));
}

TEST(SnapshotPull, AnotherSnapshotIsBegunOnlyIfTheFirstStaysAway) {
  Pull pull = begun(6);
  pull.step({.now_us = 1'000'001, .event = chunk(1, 0)});
  const SnapshotOnOffer newer = offer(8, 200);
  EXPECT_FALSE(pull.step({.now_us = 1'000'002, .event = Pull::Answer{server_id(2), newer}}).begin);
  pull.step({.now_us = 1'000'003, .event = Pull::Gone{server_id(1), kPoint}});
  EXPECT_FALSE(pull.step({.now_us = 1'000'004, .event = Pull::Answer{server_id(2), newer}}).begin);
  const auto out =
      pull.step({.now_us = 1'000'003 + kPullResumeUs, .event = Pull::Answer{server_id(2), newer}});
  EXPECT_EQ(out.begin, newer);
  ASSERT_EQ(out.chunks.size(), kPullWindow);
  EXPECT_EQ(out.chunks[0].number, 0U);
  EXPECT_EQ(pull.chunks_taken(), 0U);
}

TEST(SnapshotPull, OldAndEmptyOffersAreNotBegun) {
  Pull pull;
  pull.step({.now_us = 1, .event = want(1)});
  EXPECT_FALSE(pull.step({.now_us = 2, .event = Pull::Answer{server_id(1), offer(4, 99)}}).begin);
  EXPECT_FALSE(pull.step({.now_us = 2, .event = Pull::Answer{server_id(1), offer(0)}}).begin);
  EXPECT_FALSE(pull.step({.now_us = 2, .event = Pull::Answer{server_id(1), {}}}).begin);
  EXPECT_TRUE(pull.step({.now_us = 2, .event = Pull::Answer{server_id(1), offer(4, 101)}}).begin);
}

TEST(SnapshotPull, AfterACancelNothingIsAsked) {
  Pull pull = begun(6);
  const auto out = pull.step({.now_us = 1'000'001, .event = Pull::Cancel{}});
  EXPECT_TRUE(pull.idle());
  EXPECT_EQ(out.next_deadline_us, 0U);
  EXPECT_TRUE(pull.step({.now_us = 1'000'002, .event = chunk(1, 0)}).taken.empty());
}

/// Losses, doubles, any order, sources that come and go: the chunks come out whole, in order, once.
void pull_through(uint64_t seed) {
  Rng rng(seed);
  Pull pull;
  const uint64_t chunks = 1 + rng.below(40);
  std::multimap<uint64_t, Pull::Event> coming;
  std::vector<std::string> got;
  uint64_t now = 1;
  bool complete = false;
  const auto handle = [&](const Pull::Output& out) {
    if (out.begin) got.clear();
    for (const std::string& bytes : out.taken) got.push_back(bytes);
    if (!out.taken.empty()) coming.emplace(now + rng.below(5'000), Pull::Taken{got.size()});
    for (const Identity& to : out.ask) {
      if (rng.chance(1, 2)) continue;
      coming.emplace(now + rng.below(5'000), Pull::Answer{to, offer(chunks)});
    }
    for (const Pull::AskChunk& ask : out.chunks) {
      const size_t from = ask.to.bytes()[0];
      if (rng.chance(1, 5)) continue;
      if (rng.chance(1, 10)) {
        coming.emplace(now + rng.below(5'000), Pull::Gone{ask.to, ask.point});
        continue;
      }
      for (int copy = rng.chance(1, 5) ? 2 : 1; copy > 0; --copy) {
        coming.emplace(now + rng.below(50'000), chunk(from, ask.number, ask.point));
      }
    }
    if (out.next_deadline_us != 0) coming.emplace(out.next_deadline_us, Pull::Tick{});
    complete = complete || out.complete;
  };
  handle(pull.step({.now_us = now, .event = Pull::Servers{{server_id(2), server_id(3)}}}));
  handle(pull.step({.now_us = now, .event = want(1)}));
  for (int i = 0; i < 100'000 && !complete && !coming.empty(); ++i) {
    auto next = coming.extract(coming.begin());
    now = std::max(now, next.key());
    handle(pull.step({.now_us = now, .event = std::move(next.mapped())}));
  }
  ASSERT_TRUE(complete);
  ASSERT_EQ(got.size(), chunks);
  for (uint64_t i = 0; i < chunks; ++i) ASSERT_EQ(got[i], "chunk " + std::to_string(i));
}

TEST(SnapshotPull, AnyWeatherEndsInTheWholeSnapshot) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    pull_through(seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace doozer::raft
