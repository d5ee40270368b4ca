// How many writes may wait, and how many of their bytes.
#include "server/write_pace.h"

#include <gtest/gtest.h>

namespace doozer::server {
namespace {

/// Turns of a millisecond that apply `each`, for so many of them.
void run(WritePace& pace, uint64_t& now_us, int turns, const WriteAmount& each,
         const WriteAmount& left) {
  for (int i = 0; i < turns; ++i) pace.applied(now_us += 1'000, each, left);
}

constexpr WriteAmount kManySmall{.writes = 20'000, .bytes = 0};

TEST(WritePace, AtFirstAsManyMayWaitAsMemoryAllows) {
  EXPECT_EQ(WritePace().writes_max(), kProposedEntriesMax);
}

TEST(WritePace, AsManyMayWaitAsHalfASecondDoes) {
  WritePace pace;
  uint64_t now = 1;
  run(pace, now, 5'000, {.writes = 40}, kManySmall);  // 40,000 a second
  EXPECT_NEAR(static_cast<double>(pace.writes_max()), 20'000, 200);
  run(pace, now, 5'000, {.writes = 2}, kManySmall);
  EXPECT_EQ(pace.writes_max(), kWritesWaitingMin) << "bursts are taken on the slowest machine";
  run(pace, now, 5'000, {.writes = 1'000}, kManySmall);
  EXPECT_EQ(pace.writes_max(), kProposedEntriesMax);
}

TEST(WritePace, ClientsThatSendLittleDoNotMakeTheServerSlow) {
  WritePace pace;
  uint64_t now = 1;
  run(pace, now, 5'000, {.writes = 1, .bytes = 100},
      {.writes = kPaceWrites - 1, .bytes = kPaceWriteBytes - 1});
  EXPECT_EQ(pace.writes_max(), kProposedEntriesMax);
  EXPECT_EQ(pace.bytes_max(), kWriteBytesWaitingAtFirst);
}

TEST(WritePace, APauseIsNoPace) {
  WritePace pace;
  uint64_t now = 1;
  for (int i = 0; i < 50; ++i) {
    run(pace, now, 50, {.writes = 200}, kManySmall);
    now += 600'000;
  }
  EXPECT_EQ(pace.writes_max(), kProposedEntriesMax);
}

TEST(WritePace, AsManyBytesMayWaitAsHalfASecondDoes) {
  WritePace pace;
  uint64_t now = 1;
  const WriteAmount large{.writes = 80, .bytes = 5 * kMiB};
  run(pace, now, 5'000, {.writes = 1, .bytes = 20 * kKiB}, large);  // 20 MB a second
  EXPECT_NEAR(static_cast<double>(pace.bytes_max()), 10'240'000, 100'000);
  EXPECT_EQ(pace.writes_max(), kProposedEntriesMax) << "large ones say nothing of small ones";
  run(pace, now, 5'000, {.writes = 1, .bytes = 1 * kKiB}, large);
  EXPECT_EQ(pace.bytes_max(), kWriteBytesWaitingMin);
  run(pace, now, 5'000, {.writes = 1, .bytes = 1 * kMiB}, large);
  EXPECT_EQ(pace.bytes_max(), kProposedBytesMax);
}

TEST(WritePace, TheDiskMayTakeLongForABatchOfLargeWrites) {
  WritePace pace;
  uint64_t now = 1;
  for (int i = 0; i < 50; ++i) {
    pace.applied(now += 400'000, {.writes = 30, .bytes = 2 * kMiB}, {.writes = 80, .bytes = kMiB});
  }
  EXPECT_NEAR(static_cast<double>(pace.bytes_max()), 2.5 * kMiB, 0.1 * kMiB);
}

TEST(WritePace, ThePlaceOfManySmallWritesIsNotThatOfManyLargeOnes) {
  WritePace pace;
  uint64_t now = 1;
  run(pace, now, 5'000, {.writes = 1, .bytes = 1 * kKiB}, {.writes = 80, .bytes = 5 * kMiB});
  constexpr size_t kLarge = 64 * kKiB;
  uint64_t waiting = 0;
  while (pace.has_place({.writes = waiting, .bytes = waiting * kLarge}, kLarge)) ++waiting;
  EXPECT_EQ(waiting, kWriteBytesWaitingMin / kLarge);
  EXPECT_FALSE(pace.has_place({.writes = kProposedEntriesMax, .bytes = 100}, 100));
  EXPECT_TRUE(pace.has_place({.writes = 0, .bytes = 0}, 4 * kMiB)) << "alone it is not late";
}

}  // namespace
}  // namespace doozer::server
