// Who gives way when half requests fill the memory.
#include "server/half_frames.h"

#include <gtest/gtest.h>

#include <vector>

namespace doozer::server {
namespace {

constexpr bool kTrusted = true;
constexpr bool kStranger = false;

/// All, in the order in which they give way.
std::vector<uint64_t> order_of(HalfFrames& half) {
  std::vector<uint64_t> order;
  while (const auto id = half.first_to_go()) {
    order.push_back(*id);
    half.note(*id, {}, false, 0);
  }
  EXPECT_EQ(half.bytes(), 0U);
  return order;
}

TEST(HalfFrames, StrangersGoBeforeTheTrustedHoweverLittleTheyHold) {
  HalfFrames half;
  half.note(1, "10.0.0.1", kTrusted, 1'000);
  half.note(2, "10.0.0.1", kStranger, 10);
  half.note(3, "10.0.0.2", kStranger, 20);
  EXPECT_EQ(half.bytes(), 1'030U);
  EXPECT_EQ(order_of(half), (std::vector<uint64_t>{3, 2, 1}));
}

TEST(HalfFrames, TheAddressThatHoldsTheMostGoesFirstUntilItHoldsLess) {
  HalfFrames half;
  half.note(1, "10.0.0.1", kTrusted, 500);
  for (const uint64_t id : {2U, 3U, 4U}) half.note(id, "10.0.0.2", kTrusted, 300);
  EXPECT_EQ(order_of(half), (std::vector<uint64_t>{2, 3, 1, 4}));
}

TEST(HalfFrames, OfOneAddressWhoWasSilentForTheLongest) {
  HalfFrames half;
  for (const uint64_t id : {1U, 2U, 3U}) half.note(id, "10.0.0.1", kTrusted, 100);
  half.note(1, "10.0.0.1", kTrusted, 100);
  half.note(2, "10.0.0.1", kTrusted, 900);
  EXPECT_EQ(half.bytes(), 1'100U);
  EXPECT_EQ(order_of(half), (std::vector<uint64_t>{3, 1, 2}));
}

TEST(HalfFrames, WhoGainsTrustIsNoStrangerAnyMore) {
  HalfFrames half;
  half.note(1, "10.0.0.1", kStranger, 100);
  half.note(2, "10.0.0.1", kStranger, 100);
  half.note(1, "10.0.0.1", kTrusted, 100);
  EXPECT_EQ(half.first_to_go(), 2U);
  half.note(2, {}, false, 0);
  half.note(2, {}, false, 0);  // one that is not there
  EXPECT_EQ(half.bytes(), 100U);
  EXPECT_EQ(order_of(half), (std::vector<uint64_t>{1}));
}

TEST(HalfFrames, AddressesThatHoldTheSameGoInTheirOrder) {
  HalfFrames half;
  half.note(1, "10.0.0.9", kTrusted, 100);
  half.note(2, "10.0.0.1", kTrusted, 100);
  EXPECT_EQ(order_of(half), (std::vector<uint64_t>{2, 1}));
}

}  // namespace
}  // namespace doozer::server
