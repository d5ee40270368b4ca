#include "server/digest_judge.h"

#include <gtest/gtest.h>

namespace doozer::server {
namespace {

Identity server(uint8_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = number;
  return Identity(bytes);
}

DigestAt digest(uint64_t index, uint64_t value) {
  return {.index = Index(index), .chain = {value, 1}, .state = {value, 2}};
}

const std::vector<Identity> kThree = {server(1), server(2), server(3)};

TEST(DigestJudge, WhoDiffersFromAMajorityIsNamedWithWhatTheMajorityHas) {
  DigestJudge judge;
  judge.report(server(1), {digest(1024, 7)});
  judge.report(server(2), {digest(1024, 8)});
  EXPECT_TRUE(judge.judge(kThree).empty());  // one against one
  judge.report(server(3), {digest(1024, 7)});
  const auto verdicts = judge.judge(kThree);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].server, server(2));
  EXPECT_EQ(verdicts[0].majority, digest(1024, 7));
  EXPECT_EQ(judge.split(kThree), std::nullopt);
}

TEST(DigestJudge, OnlyEqualIndexesAreCompared) {
  DigestJudge judge;
  judge.report(server(1), {digest(1024, 7), digest(2048, 9)});
  judge.report(server(2), {digest(1024, 7)});
  judge.report(server(3), {digest(2048, 9)});
  EXPECT_TRUE(judge.judge(kThree).empty());
}

TEST(DigestJudge, EitherDigestCounts) {
  DigestJudge judge;
  DigestAt other = digest(1024, 7);
  other.state.high = 99;
  judge.report(server(1), {digest(1024, 7)});
  judge.report(server(2), {digest(1024, 7)});
  judge.report(server(3), {other});
  ASSERT_EQ(judge.judge(kThree).size(), 1U);
}

TEST(DigestJudge, AStandbyIsJudgedAndDoesNotJudge) {
  DigestJudge judge;
  judge.report(server(1), {digest(1024, 7)});
  judge.report(server(8), {digest(1024, 8)});
  judge.report(server(9), {digest(1024, 8)});
  EXPECT_TRUE(judge.judge(kThree).empty());
  judge.report(server(2), {digest(1024, 7)});
  EXPECT_EQ(judge.judge(kThree).size(), 2U);
}

TEST(DigestJudge, WhereNoMajorityAgreesAmongAllThatIsSaid) {
  DigestJudge judge;
  judge.report(server(1), {digest(1024, 7)});
  judge.report(server(2), {digest(1024, 8)});
  EXPECT_EQ(judge.split(kThree), std::nullopt);  // the third may still decide
  judge.report(server(3), {digest(1024, 9)});
  EXPECT_EQ(judge.split(kThree), Index(1024));
  EXPECT_TRUE(judge.judge(kThree).empty());
}

TEST(DigestJudge, OnlyTheNewestIndexesAreKept) {
  DigestJudge judge;
  for (uint64_t i = 1; i <= kDigestsKept + 1; ++i) {
    judge.report(server(1), {digest(i * 1024, 7)});
  }
  judge.report(server(2), {digest(1024, 7)});
  judge.report(server(3), {digest(1024, 8)});
  EXPECT_TRUE(judge.judge(kThree).empty());
}

}  // namespace
}  // namespace doozer::server
