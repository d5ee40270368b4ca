// The leader's next step for its members, case by case. Servers are letters: "A" leads. Slots are
// written "A B - ?": held by A, by B, empty, garbage.
#include "server/reconcile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

namespace doozer::server {
namespace {

Identity server(char letter) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = static_cast<uint8_t>(letter);
  return Identity(bytes);
}

std::string letter(const Identity& identity) {
  return identity.none() ? "-" : std::string(1, static_cast<char>(identity.bytes()[0]));
}

std::vector<Identity> servers(std::string_view letters) {
  std::vector<Identity> identities;
  for (const char one : letters) identities.push_back(server(one));
  return identities;
}

class Facts {
 public:
  Facts(const std::string& slots, std::string_view voters, std::string_view present) {
    facts_.self = server('A');
    facts_.voters = servers(voters);
    facts_.quorum_confirmed = true;
    facts_.timeout_us = 60'000'000;
    std::istringstream words(slots);
    std::string word;
    for (int number = 0; words >> word; ++number) {
      SlotFact slot{
          .path = "/ctl/cal/" + std::to_string(number), .revision = 10 + number, .holder = {}};
      if (word == "?") {
        slot.garbage = true;
      } else if (word != "-") {
        slot.holder = server(word[0]);
      }
      facts_.slots.push_back(slot);
    }
    for (const char one : present) {
      ServerFact fact;
      fact.identity = server(one);
      fact.reachable = true;
      fact.caught_up = true;
      facts_.servers.push_back(fact);
    }
  }
  ServerFact& of(char one) {
    for (ServerFact& fact : facts_.servers) {
      if (fact.identity == server(one)) return fact;
    }
    ServerFact fact;
    fact.identity = server(one);
    facts_.servers.push_back(fact);
    return facts_.servers.back();
  }
  MembershipFacts& raw() { return facts_; }
  /// "fill 1=B 2=C", "change ABC", "hand over to B", "nothing".
  std::string next() const {
    const MembershipStep step = next_membership_step(facts_);
    if (const auto* write = std::get_if<WriteSlots>(&step)) {
      std::string text = write->why;
      for (const SlotWrite& slot : write->writes) {
        EXPECT_EQ(slot.revision, 10 + std::stoi(slot.path.substr(9)));
        text += " " + slot.path.substr(9) + "=" + letter(slot.holder);
      }
      return text;
    }
    if (const auto* change = std::get_if<ChangeTo>(&step)) {
      EXPECT_TRUE(std::is_sorted(change->voters.begin(), change->voters.end()));
      std::string text = "change ";
      for (const Identity& voter : change->voters) text += letter(voter);
      return text;
    }
    if (const auto* hand_over = std::get_if<HandOverTo>(&step)) {
      return "hand over to " + letter(hand_over->to);
    }
    return "nothing";
  }

 private:
  MembershipFacts facts_;
};

struct Case {
  std::string slots;
  std::string voters;
  std::string present;  ///< fit servers; "A" leads
  std::string next;
};

TEST(Reconcile, TheConfigurationFollowsTheSlots) {
  const Case cases[] = {
      {"A", "A", "A", "nothing"},
      {"A B C", "ABC", "ABC", "nothing"},
      {"A B C", "A", "ABC", "change ABC"},        // filled, not yet members
      {"A B -", "ABC", "ABC", "change AB"},       // C's slot was emptied
      {"A B", "ABC", "AB", "change AB"},          // C's slot was deleted, C is dead
      {"- B C", "ABC", "ABC", "hand over to B"},  // the leader's own slot
      {"- B C", "ABC", "AC", "hand over to C"},   // B is not fit
      {"- B -", "A", "AB", "change AB"},          // nobody who votes could go on: B is let in
      {"- B -", "AB", "A", "nothing"},            // and waited for
      {"A B C", "A", "AB", "give_back 2=-"},      // C was chosen and left again
      {"A B C", "A", "A", "give_back 1=- 2=-"},   // both left
      {"A B A", "AB", "AB", "nothing"},           // nobody counts twice
      {"A ? -", "A", "A", "nothing"},             // garbage is left alone
      {"- -", "A", "A", "nothing"},               // nothing is wished yet
  };
  for (const Case& one : cases) {
    EXPECT_EQ(Facts(one.slots, one.voters, one.present).next(), one.next)
        << one.slots << " | " << one.voters << " | " << one.present;
  }
}

TEST(Reconcile, EmptySlotsAreFilledToAnOddNumber) {
  const Case cases[] = {
      {"A - -", "A", "AB", "nothing"},             // 2 would tolerate no more than 1
      {"A - -", "A", "ABC", "fill 1=B 2=C"},       // both in one step
      {"A - -", "A", "ABCD", "fill 1=B 2=C"},      // as many as there are slots
      {"A - - - -", "A", "ABCD", "fill 1=B 2=C"},  // 4 are no better than 3
      {"A - - - -", "A", "ABCDE", "fill 1=B 2=C 3=D 4=E"},
      {"A -", "A", "AB", "fill 1=B"},  // no odd number is to be had
      {"A B -", "AB", "ABC", "fill 2=C"},
      {"A B C -", "ABC", "ABCD", "fill 3=D"},  // all slots, though even
      {"A B C - -", "ABC", "ABCD", "nothing"},
      {"A ? -", "A", "ABC", "fill 2=B"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(Facts(one.slots, one.voters, one.present).next(), one.next)
        << one.slots << " | " << one.voters << " | " << one.present;
  }
}

TEST(Reconcile, WantedMembersIsOddOrAllThereIs) {
  for (size_t slots = 1; slots <= 9; ++slots) {
    for (size_t filled = 1; filled <= slots; ++filled) {
      for (size_t standbys = 0; standbys <= 9; ++standbys) {
        const size_t wanted = wanted_members(filled, slots, standbys);
        EXPECT_GE(wanted, filled);
        EXPECT_LE(wanted, std::min(slots, filled + standbys));
        if (wanted != filled) {
          EXPECT_TRUE(wanted % 2 == 1 || wanted == slots);
        }
      }
    }
  }
}

TEST(Reconcile, OnlyAFitStandbyIsChosen) {
  const auto with = [](const std::function<void(ServerFact&)>& spoil) {
    Facts facts("A -", "A", "AB");
    spoil(facts.of('B'));
    return facts.next();
  };
  EXPECT_EQ(with([](ServerFact&) {}), "fill 1=B");
  EXPECT_EQ(with([](ServerFact& b) { b.reachable = false; }), "nothing");
  EXPECT_EQ(with([](ServerFact& b) { b.caught_up = false; }), "nothing");
  EXPECT_EQ(with([](ServerFact& b) { b.sound = false; }), "nothing");
  EXPECT_EQ(with([](ServerFact& b) { b.full = true; }), "nothing");
  EXPECT_EQ(with([](ServerFact& b) { b.compatible = false; }), "nothing");
}

TEST(Reconcile, WhoWasRemovedIsChosenLast) {
  Facts facts("A -", "A", "ABC");
  facts.of('B').removed = true;
  EXPECT_EQ(facts.next(), "fill 1=C");
  Facts alone("A -", "A", "AB");
  alone.of('B').removed = true;
  EXPECT_EQ(alone.next(), "fill 1=B");
}

// A new leader has not heard yet how far the others are: the wish is not undone before.
TEST(Reconcile, AStandbyThatIsStillComingGoesBeforeWhoWasRemoved) {
  Facts facts("A -", "A", "ABC");
  facts.of('B').removed = true;
  facts.of('C').caught_up = false;
  EXPECT_EQ(facts.next(), "nothing");
  facts.of('C').caught_up = true;
  EXPECT_EQ(facts.next(), "fill 1=C");
  // Who cannot come is not waited for.
  facts.of('C').caught_up = false;
  facts.of('C').reachable = false;
  EXPECT_EQ(facts.next(), "fill 1=B");
}

TEST(Reconcile, ASilentMemberIsReplacedOneAtATimeWhileAMajorityConfirms) {
  Facts facts("A B C D E", "ABCDE", "ACEF");
  facts.of('B').silent_us = 60'000'000;
  facts.of('D').silent_us = 90'000'000;
  EXPECT_EQ(facts.next(), "replace 3=F");
  facts.raw().quorum_confirmed = false;
  EXPECT_EQ(facts.next(), "nothing");
}

TEST(Reconcile, NobodyIsReplacedTooEarlyNorWithoutAStandbyNorDuringAChange) {
  Facts early("A B C", "ABC", "ACF");
  early.of('B').silent_us = 59'999'999;
  EXPECT_EQ(early.next(), "nothing");
  Facts nobody("A B C", "ABC", "AC");
  nobody.of('B').silent_us = 99'000'000;
  EXPECT_EQ(nobody.next(), "nothing");
  Facts changing("A B C", "ABC", "ACF");
  changing.of('B').silent_us = 99'000'000;
  changing.raw().changing = true;
  EXPECT_EQ(changing.next(), "nothing");
}

TEST(Reconcile, NoChangeIsBegunThatCouldNotEnd) {
  // C is dead. B's slot was deleted, or emptied: A and C together could commit nothing.
  EXPECT_EQ(Facts("A C", "ABC", "A").next(), "nothing");
  EXPECT_EQ(Facts("A - C", "ABC", "A").next(), "nothing");
  EXPECT_EQ(Facts("A C", "ABC", "ABC").next(), "change AC");
  // Who lives may be wished for instead, B too.
  EXPECT_EQ(Facts("A - C", "ABC", "ABD").next(), "fill 1=B");
  Facts silent("A C", "ABC", "AB");
  silent.of('C').silent_us = 60'000'000;
  EXPECT_EQ(silent.next(), "replace 1=B");
}

TEST(Reconcile, ALeaderWithoutASlotHandsOverToWhoMayLead) {
  Facts facts("- B C", "ABC", "ABC");
  facts.of('B').willing = false;
  EXPECT_EQ(facts.next(), "hand over to C");
  facts.of('C').willing = false;
  EXPECT_EQ(facts.next(), "change BC");
}

TEST(Reconcile, WhoComesBackIsNotSwappedIn) {
  // B was replaced by F and is back: a standby like any other.
  EXPECT_EQ(Facts("A F C", "ACF", "ABCF").next(), "nothing");
}

}  // namespace
}  // namespace doozer::server
