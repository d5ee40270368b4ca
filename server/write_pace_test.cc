// How many writes may wait.
#include "server/write_pace.h"

#include <gtest/gtest.h>

namespace doozer::server {
namespace {

/// Turns of a millisecond that apply `each`, for so many of them.
void run(WritePace& pace, uint64_t& now_us, int turns, uint64_t each, size_t left) {
  for (int i = 0; i < turns; ++i) pace.applied(now_us += 1'000, each, left);
}

TEST(WritePace, AtFirstAsManyMayWaitAsMemoryAllows) {
  EXPECT_EQ(WritePace().waiting_max(), kProposedEntriesMax);
}

TEST(WritePace, AsManyMayWaitAsHalfASecondDoes) {
  WritePace pace;
  uint64_t now = 1;
  run(pace, now, 5'000, 40, 20'000);  // 40,000 a second
  EXPECT_NEAR(static_cast<double>(pace.waiting_max()), 20'000, 200);
  run(pace, now, 5'000, 2, 20'000);
  EXPECT_EQ(pace.waiting_max(), kWritesWaitingMin) << "bursts are taken on the slowest machine";
  run(pace, now, 5'000, 1'000, 20'000);
  EXPECT_EQ(pace.waiting_max(), kProposedEntriesMax);
}

TEST(WritePace, ClientsThatSendLittleDoNotMakeTheServerSlow) {
  WritePace pace;
  uint64_t now = 1;
  run(pace, now, 5'000, 1, kPaceWrites - 1);
  EXPECT_EQ(pace.waiting_max(), kProposedEntriesMax);
}

TEST(WritePace, APauseIsNoPace) {
  WritePace pace;
  uint64_t now = 1;
  for (int i = 0; i < 50; ++i) {
    run(pace, now, 50, 200, 20'000);
    now += 600'000;
  }
  EXPECT_EQ(pace.waiting_max(), kProposedEntriesMax);
}

}  // namespace
}  // namespace doozer::server
