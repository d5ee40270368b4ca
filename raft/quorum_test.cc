// Every pattern of votes and matches of up to five members, joint ones included, against counting.

#include "raft/quorum.h"

#include <gtest/gtest.h>

#include "raft/core.h"

namespace doozer::raft {
namespace {

constexpr int kMembersMax = 5;

Identity member(int n) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = static_cast<uint8_t>(n + 1);
  return Identity(bytes);
}
int number(const Identity& identity) { return identity.bytes()[0] - 1; }

std::vector<Identity> members(unsigned mask) {
  std::vector<Identity> chosen;
  for (int i = 0; i < kMembersMax; ++i) {
    if ((mask >> i & 1U) != 0) chosen.push_back(member(i));
  }
  return chosen;
}

int count(unsigned mask) { return __builtin_popcount(mask); }

Vote counted(unsigned voters, unsigned granted, unsigned refused) {
  if (2 * count(voters & granted) > count(voters)) return Vote::granted;
  if (2 * (count(voters) - count(voters & refused)) <= count(voters)) return Vote::refused;
  return Vote::pending;
}

TEST(Quorum, EveryVotePatternOfUpToFiveMembersAlsoJoint) {
  constexpr unsigned kAll = 1U << kMembersMax;
  for (unsigned now = 1; now < kAll; ++now) {
    for (unsigned old = 0; old < kAll; ++old) {
      const Configuration configuration{.voters = members(now), .old_voters = members(old)};
      for (unsigned granted = 0; granted < kAll; ++granted) {
        for (unsigned refused = 0; refused < kAll; ++refused) {
          if ((granted & refused) != 0) continue;
          const Vote first = counted(now, granted, refused);
          const Vote second = old == 0 ? Vote::granted : counted(old, granted, refused);
          Vote wanted = Vote::pending;
          if (first == Vote::refused || second == Vote::refused) {
            wanted = Vote::refused;
          } else if (first == Vote::granted && second == Vote::granted) {
            wanted = Vote::granted;
          }
          const Vote got = tally(configuration, [&](const Identity& id) {
            if ((granted >> number(id) & 1U) != 0) return Vote::granted;
            return (refused >> number(id) & 1U) != 0 ? Vote::refused : Vote::pending;
          });
          ASSERT_EQ(got, wanted) << now << " " << old << " " << granted << " " << refused;
        }
      }
    }
  }
}

TEST(Quorum, EveryMatchPatternOfUpToFiveMembersAlsoJoint) {
  constexpr unsigned kAll = 1U << kMembersMax;
  constexpr unsigned kValues = 3;
  const auto held = [](unsigned voters, const std::array<unsigned, kMembersMax>& match,
                       unsigned index) {
    int holders = 0;
    for (int i = 0; i < kMembersMax; ++i) {
      const bool votes = (voters >> i & 1U) != 0;
      if (votes && match[static_cast<size_t>(i)] >= index) ++holders;
    }
    return 2 * holders > count(voters);
  };
  for (unsigned pattern = 0; pattern < 243; ++pattern) {
    std::array<unsigned, kMembersMax> match{};
    unsigned rest = pattern;
    for (unsigned& value : match) {
      value = rest % kValues;
      rest /= kValues;
    }
    for (unsigned now = 1; now < kAll; ++now) {
      for (unsigned old = 0; old < kAll; ++old) {
        unsigned wanted = 0;
        for (unsigned index = 1; index < kValues; ++index) {
          if (held(now, match, index) && (old == 0 || held(old, match, index))) wanted = index;
        }
        const Index got = majority_match(
            {.voters = members(now), .old_voters = members(old)},
            [&](const Identity& id) { return Index(match[static_cast<size_t>(number(id))]); });
        ASSERT_EQ(got, Index(wanted)) << pattern << " " << now << " " << old;
      }
    }
  }
}

/// The same through a core: server 1 of up to five, all the others played.
CoreOptions one_of(unsigned now, unsigned old) {
  CoreOptions options;
  options.self = member(0);
  options.configurations = {
      {.index = Index(1), .configuration = {.voters = members(now), .old_voters = members(old)}}};
  options.hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)};
  options.last_index = Index(1);
  options.last_term = Term(1);
  options.applied = Index(1);
  return options;
}

/// Elects server 1 with the votes in `granted`; false if they do not suffice.
bool elect(Core& core, unsigned granted) {
  const auto answer = [&](bool pre) {
    for (int i = 1; i < kMembersMax; ++i) {
      if ((granted >> i & 1U) == 0) continue;
      const Term asked = pre ? Term(2) : core.term();
      core.step({.now_us = 5'000'000,
                 .event = Receive{
                     .from = member(i),
                     .from_incarnation = Incarnation(1),
                     .message = VoteReply{
                         .term = Term(1), .asked_term = asked, .pre = pre, .granted = true}}});
    }
  };
  Output out = core.step({.now_us = 5'000'000, .event = Tick{}});
  answer(true);
  if (core.term() != Term(2)) return false;
  out = core.step({.now_us = 5'000'000, .event = Persisted{1}});
  answer(false);
  return core.role() == Role::leader;
}

TEST(Quorum, EveryVotePatternElectsACoreOrNot) {
  constexpr unsigned kAll = 1U << kMembersMax;
  for (unsigned now = 1; now < kAll; ++now) {
    for (unsigned old = 0; old < kAll; ++old) {
      if (((now | old) & 1U) == 0) continue;
      for (unsigned granted = 0; granted < kAll; granted += 2) {
        const unsigned votes = granted | 1U;
        const bool wanted = counted(now, votes, 0) == Vote::granted &&
                            (old == 0 || counted(old, votes, 0) == Vote::granted);
        Core core = Core::make(one_of(now, old));
        ASSERT_EQ(elect(core, granted), wanted) << now << " " << old << " " << granted;
      }
    }
  }
}

TEST(Quorum, EveryMatchPatternIsCommittedByACoreOrNot) {
  constexpr unsigned kAll = 1U << kMembersMax;
  for (unsigned now = 1; now < kAll; ++now) {
    for (unsigned old = 0; old < kAll; ++old) {
      if (((now | old) & 1U) == 0) continue;
      for (unsigned holders = 0; holders < kAll; ++holders) {
        Core core = Core::make(one_of(now, old));
        ASSERT_TRUE(elect(core, kAll - 1));
        if ((holders & 1U) != 0) core.step({.now_us = 5'000'000, .event = Persisted{2}});
        for (int i = 1; i < kMembersMax; ++i) {
          if ((holders >> i & 1U) == 0) continue;
          core.step({.now_us = 5'000'000,
                     .event = Receive{.from = member(i),
                                      .from_incarnation = Incarnation(1),
                                      .message = AppendReply{.term = Term(2),
                                                             .accepted = true,
                                                             .match = Index(2),
                                                             .agreed = Index(2),
                                                             .round = 1}}});
        }
        const bool wanted = counted(now, holders, 0) == Vote::granted &&
                            (old == 0 || counted(old, holders, 0) == Vote::granted);
        ASSERT_EQ(core.commit() == Index(2), wanted) << now << " " << old << " " << holders;
      }
    }
  }
}

TEST(Quorum, NobodyDecidesInAConfigurationWithoutVoters) {
  EXPECT_EQ(tally({}, [](const Identity&) { return Vote::granted; }), Vote::refused);
  EXPECT_EQ(majority_match({}, [](const Identity&) { return Index(9); }), Index(0));
}

TEST(Quorum, VotersOfBothSetsAreVoters) {
  const Configuration joint{.voters = members(0b00011), .old_voters = members(0b00110)};
  EXPECT_TRUE(is_voter(joint, member(0)));
  EXPECT_TRUE(is_voter(joint, member(2)));
  EXPECT_FALSE(is_voter(joint, member(3)));
  EXPECT_EQ(all_voters(joint), members(0b00111));
}

}  // namespace
}  // namespace doozer::raft
