// Forwarded writes: the queue of the server that a client talks to, the desk of the leader, and
// both over a network that loses, repeats and reorders while leaders change.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "server/forward_desk.h"
#include "server/peer_message.h"
#include "server/write_queue.h"

namespace doozer::server {
namespace {

using Kind = door::WriteOutcome::Kind;

Identity identity(uint8_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = number;
  return Identity(bytes);
}

struct Client final : door::WriteCompletion {
  void on_written(uint64_t cookie, const door::WriteOutcome& outcome) override {
    outcomes[cookie] = outcome.kind;
  }
  std::map<uint64_t, Kind> outcomes;
};

const Identity kSelf = identity(1);
const Identity kLeader = identity(9);
constexpr Incarnation kLife(3);

class QueueTest : public testing::Test {
 protected:
  void push(uint64_t cookie, uint64_t now_us = 1, size_t bytes = 5) {
    push_for(client_, cookie, now_us, bytes);
  }
  void push_for(Client& client, uint64_t cookie, uint64_t now_us = 1, size_t bytes = 5) {
    std::string payload = queue_.blank_tag() + std::string(bytes, 'x');
    ASSERT_TRUE(queue_.push({.payload = std::move(payload),
                             .may_use_reserve = false,
                             .completion = &client,
                             .cookie = cookie,
                             .now_us = now_us}));
  }
  /// "1:x 2:- 3:x": sequences and whether they carry something.
  std::string forwarded(uint64_t term) {
    std::string out;
    while (auto forward = queue_.next_forward(Term(term))) {
      uint64_t sequence = forward->first;
      for (const ForwardItem& item : forward->items) {
        std::string_view command = item.payload;
        const auto tag = core::take_tag(command);
        EXPECT_EQ(tag ? tag->sequence : sequence, sequence);
        out += (out.empty() ? "" : " ") + std::to_string(sequence) + (tag ? ":x" : ":-");
        ++sequence;
      }
    }
    return out;
  }
  void apply(uint64_t sequence, uint64_t term) {
    queue_.on_applied_term(Term(term));
    queue_.on_applied({.origin = kSelf, .incarnation = kLife, .sequence = sequence}, Term(term),
                      {});
  }
  /// "1=applied 2=unknown", of what was told since the last call.
  std::string told() {
    std::string out;
    for (const auto& told : queue_.told()) {
      constexpr std::string_view kNames[] = {"applied", "read_only", "refused", "unknown"};
      out += (out.empty() ? "" : " ") + std::to_string(told.cookie) + "=" +
             std::string(kNames[static_cast<size_t>(told.outcome.kind)]);
    }
    queue_.told().clear();
    return out;
  }
  WriteQueue queue_{kSelf, kLife};
  Client client_;
};

TEST_F(QueueTest, WritesAreNumberedInOrderAndAnsweredByTheirOwnEntries) {
  push(10);
  push(11);
  EXPECT_EQ(forwarded(5), "1:x 2:x");
  EXPECT_EQ(forwarded(5), "");
  push(12);
  EXPECT_EQ(forwarded(5), "3:x");
  apply(1, 5);
  apply(2, 5);
  EXPECT_EQ(told(), "10=applied 11=applied");
  apply(3, 5);
  EXPECT_EQ(told(), "12=applied");
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.bytes(), 0U);
}

TEST_F(QueueTest, EntriesOfOtherLivesAndTermsAnswerNothing) {
  push(10);
  EXPECT_EQ(forwarded(5), "1:x");
  queue_.on_applied({.origin = kSelf, .incarnation = Incarnation(2), .sequence = 1}, Term(5), {});
  queue_.on_applied({.origin = kSelf, .incarnation = kLife, .sequence = 1}, Term(4), {});
  queue_.on_applied({.origin = kSelf, .incarnation = kLife, .sequence = 2}, Term(5), {});
  EXPECT_EQ(told(), "");
}

TEST_F(QueueTest, WhatALaterWriteOfTheTermPassedIsRefused) {
  push(10);
  push(11);
  push(12);
  forwarded(5);
  apply(2, 5);
  EXPECT_EQ(told(), "10=refused 11=applied");
  apply(3, 5);
  EXPECT_EQ(told(), "12=applied");
}

TEST_F(QueueTest, ARefusalOfTheLeaderIsToldAtOnceAndOnce) {
  push(10);
  push(11);
  forwarded(5);
  queue_.on_ack({.term = Term(5), .taken_to = 2, .refused = {{2, {Code::no_space, "full"}}}});
  EXPECT_EQ(told(), "11=refused");
  queue_.on_ack({.term = Term(5), .taken_to = 2, .refused = {{2, {Code::no_space, "full"}}}});
  apply(1, 5);
  EXPECT_EQ(told(), "10=applied");
  EXPECT_TRUE(queue_.empty());
}

TEST_F(QueueTest, WithoutAnAcknowledgementAllGoesAgain) {
  push(10);
  push(11);
  push(12);
  forwarded(5);
  EXPECT_TRUE(queue_.waits_for_ack());
  queue_.on_ack({.term = Term(5), .taken_to = 1, .refused = {}});
  queue_.retry();
  EXPECT_EQ(forwarded(5), "2:x 3:x");
  queue_.on_ack({.term = Term(5), .taken_to = 3, .refused = {}});
  EXPECT_FALSE(queue_.waits_for_ack());
  queue_.retry();
  EXPECT_EQ(forwarded(5), "");
}

TEST_F(QueueTest, WhatIsLargeOrWasSentInVainBeforeIsGivenMoreTime) {
  push(10);
  forwarded(5);
  const uint64_t once = queue_.retry_wait_us();
  EXPECT_GE(once, kForwardRetryUs);
  EXPECT_LT(once, kForwardRetryUs + kForwardRetryUs / 10);
  push(11, 1, kMiB);
  forwarded(5);
  EXPECT_GE(queue_.retry_wait_us(), once + kMiB / kForwardBytesPerUs);
  for (int i = 0; i < 10; ++i) queue_.retry();
  forwarded(5);
  EXPECT_GE(queue_.retry_wait_us(), 8 * once);
  EXPECT_LT(queue_.retry_wait_us(), kUnknownAfterUs / 2);
  queue_.on_ack({.term = Term(5), .taken_to = 2, .refused = {}});
  EXPECT_EQ(queue_.retry_wait_us(), kForwardRetryUs);
}

TEST_F(QueueTest, AnotherTermWaitsUntilTheFirstOneIsOver) {
  push(10);
  forwarded(5);
  push(11);
  EXPECT_FALSE(queue_.open_to(Term(6)));
  queue_.on_applied_term(Term(5));
  EXPECT_FALSE(queue_.open_to(Term(6)));
  queue_.on_applied_term(Term(6));
  ASSERT_TRUE(queue_.open_to(Term(6)));
  EXPECT_EQ(forwarded(6), "1:x 2:x");
  EXPECT_EQ(told(), "");
  apply(1, 6);
  apply(2, 6);
  EXPECT_EQ(told(), "10=applied 11=applied");
}

TEST_F(QueueTest, AnUnknownWriteIsNeverSubmittedAgainNorOneBehindItOfTheSameClient) {
  Client other;
  push(10, 100);
  forwarded(5);
  push(11, 200);
  push_for(other, 12, 200);
  queue_.give_up(150);
  EXPECT_EQ(told(), "10=unknown 11=read_only");
  queue_.on_applied_term(Term(6));
  EXPECT_EQ(forwarded(6), "1:x");
  apply(1, 6);
  EXPECT_EQ(told(), "12=applied");
}

TEST_F(QueueTest, ALeaderThatAsksForAnUnknownWriteGetsAnEmptyOne) {
  push(10, 100);
  push(11, 200);
  forwarded(5);
  queue_.give_up(150);
  EXPECT_EQ(told(), "10=unknown");
  queue_.retry();
  EXPECT_EQ(forwarded(5), "1:- 2:x");
}

TEST_F(QueueTest, AWriteThatFoundNoLeaderIsReadOnly) {
  push(10, 100);
  EXPECT_EQ(queue_.oldest_untold_us(), 100U);
  queue_.give_up(99);
  EXPECT_EQ(told(), "");
  queue_.give_up(100);
  EXPECT_EQ(told(), "10=read_only");
  EXPECT_EQ(queue_.oldest_untold_us(), std::nullopt);
}

TEST_F(QueueTest, ASnapshotMakesWhatWasHandedOverUnknownAndTheTermGoesOn) {
  Client other;
  push(10);
  push(11);
  forwarded(5);
  push(12);
  push_for(other, 13);
  queue_.on_jump();
  EXPECT_EQ(told(), "10=unknown 12=read_only 11=unknown");
  EXPECT_EQ(forwarded(5), "3:x");
  queue_.retry();
  EXPECT_EQ(forwarded(5), "1:- 2:- 3:x");
  apply(1, 5);
  EXPECT_EQ(told(), "");
  apply(3, 5);
  EXPECT_EQ(told(), "13=applied");
}

TEST_F(QueueTest, TheWindowBoundsWhatOneLeaderIsSent) {
  const size_t size = kForwardBytesMax;
  const size_t fits = kForwardWindowBytes / (size + core::kWriteTagBytes) + 1;
  for (size_t i = 0; i < fits + 20; ++i) push(i, 1, size);
  size_t sent = 0;
  while (auto forward = queue_.next_forward(Term(5))) sent += forward->items.size();
  EXPECT_EQ(sent, fits);
  queue_.on_ack({.term = Term(5), .taken_to = 3, .refused = {}});
  sent = 0;
  while (auto forward = queue_.next_forward(Term(5))) sent += forward->items.size();
  EXPECT_EQ(sent, 3U);
}

TEST_F(QueueTest, AFullQueueSaysBusy) {
  std::string payload = queue_.blank_tag() + std::string(kProposedBytesMax, 'x');
  const auto pushed = queue_.push({.payload = payload});
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code, Code::busy);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(QueueTest, TheLeaderItselfTakesItsOwnWritesInOrder) {
  push(10);
  push(11);
  push(12);
  const auto first = queue_.next_own(Term(5));
  const auto second = queue_.next_own(Term(5));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->sequence, 1U);
  EXPECT_EQ(second->sequence, 2U);
  queue_.refuse_own(2, {Code::no_space, "full"});
  EXPECT_EQ(told(), "11=refused");
  EXPECT_EQ(queue_.next_own(Term(5))->sequence, 3U);
  EXPECT_FALSE(queue_.next_own(Term(5)));
  apply(1, 5);
  apply(3, 5);
  EXPECT_EQ(told(), "10=applied 12=applied");
}

TEST_F(QueueTest, WhatIsForgottenIsToldToNobody) {
  push(10);
  push(11);
  forwarded(5);
  apply(1, 5);
  queue_.forget(client_);
  apply(2, 5);
  for (const auto& told : queue_.told()) EXPECT_EQ(told.completion, nullptr);
  EXPECT_EQ(queue_.size(), 0U);
}

class DeskTest : public testing::Test {
 protected:
  DeskTest() { desk_.begin_term(Term(5)); }
  std::string payload(uint64_t sequence, const Identity& origin = kSelf) {
    std::string out;
    core::encode_tag({.origin = origin, .incarnation = kLife, .sequence = sequence}, out);
    return out + "c";
  }
  void take(uint64_t first, const std::vector<std::string>& payloads, uint64_t term = 5,
            Incarnation life = kLife) {
    Forward forward{.term = Term(term), .first = first, .items = {}};
    for (const std::string& payload : payloads) forward.items.push_back({false, payload});
    desk_.take(
        kSelf, life, forward,
        [this](size_t, bool) -> Result<void> {
          if (full_) return fail(Code::no_space, "full");
          return {};
        },
        [this](std::string payload) { proposed_.push_back(std::move(payload)); });
  }
  uint64_t acked() {
    const auto acks = desk_.acknowledgements();
    if (acks.size() != 1) return UINT64_MAX;
    refused_ = acks[0].second.refused;
    return acks[0].second.taken_to;
  }
  ForwardDesk desk_;
  bool full_ = false;
  std::vector<std::string> proposed_;
  std::vector<Refusal> refused_;
};

TEST_F(DeskTest, OnlyTheNextSequenceIsTaken) {
  take(1, {payload(1), payload(2)});
  EXPECT_EQ(acked(), 2U);
  EXPECT_FALSE(desk_.has_acknowledgements());
  take(4, {payload(4)});  // a gap
  EXPECT_EQ(acked(), 2U);
  take(2, {payload(2), payload(3)});  // half of it again
  EXPECT_EQ(acked(), 3U);
  EXPECT_EQ(proposed_, (std::vector<std::string>{payload(1), payload(2), payload(3)}));
}

TEST_F(DeskTest, AnotherTermIsNotOurs) {
  take(1, {payload(1)}, 4);
  take(1, {payload(1)}, 6);
  EXPECT_FALSE(desk_.has_acknowledgements());
  EXPECT_TRUE(proposed_.empty());
}

TEST_F(DeskTest, ARefusedWriteCountsAndAnEmptyOneToo) {
  full_ = true;
  take(1, {payload(1)});
  full_ = false;
  take(2, {"", payload(3)});
  EXPECT_EQ(acked(), 3U);
  ASSERT_EQ(refused_.size(), 1U);
  EXPECT_EQ(refused_[0].sequence, 1U);
  EXPECT_EQ(refused_[0].error.code, Code::no_space);
  EXPECT_EQ(proposed_, std::vector<std::string>{payload(3)});
}

TEST_F(DeskTest, AForgedTagIsRefused) {
  take(1, {payload(2), payload(2, identity(7)), "short"});
  EXPECT_EQ(acked(), 3U);
  EXPECT_EQ(refused_.size(), 3U);
  EXPECT_TRUE(proposed_.empty());
}

TEST_F(DeskTest, ANewLifeBeginsAgainAndAnOldOneIsIgnored) {
  take(1, {payload(1)});
  std::string later;
  core::encode_tag({.origin = kSelf, .incarnation = Incarnation(4), .sequence = 1}, later);
  take(1, {later + "c"}, 5, Incarnation(4));
  EXPECT_EQ(proposed_.size(), 2U);
  acked();
  take(2, {payload(2)}, 5, kLife);
  EXPECT_FALSE(desk_.has_acknowledgements());
}

TEST_F(DeskTest, ANewTermBeginsAgain) {
  take(1, {payload(1)});
  desk_.begin_term(Term(6));
  EXPECT_FALSE(desk_.has_acknowledgements());
  take(1, {payload(1)}, 6);
  EXPECT_EQ(acked(), 1U);
}

// One origin, leaders that come and go, a log that loses its uncommitted tail at each change, and a
// network that loses, repeats and reorders. What must hold is what design section 6 promises.
TEST(ForwardModel, EveryWriteHappensAtMostOnceInOrderAndItsOutcomeIsTrue) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    WriteQueue queue(kSelf, kLife);
    auto desk = std::make_unique<ForwardDesk>();
    struct Entry {
      uint64_t term;
      std::string payload;
    };
    std::vector<Entry> log;
    size_t committed = 0;
    size_t applied = 0;
    uint64_t term = 1;
    uint64_t next = 1;
    std::map<uint64_t, Kind> told;
    std::set<uint64_t> happened;
    std::vector<uint64_t> order;
    Client client;
    std::vector<std::pair<uint64_t, std::string>> to_leader;  // (term, encoded)
    std::vector<std::string> to_origin;
    desk->begin_term(Term(term));
    log.push_back({term, ""});
    const auto deliver = [&](bool lossy) {
      if (!to_leader.empty()) {
        const size_t at = lossy ? rng.below(to_leader.size()) : 0;
        const auto message = to_leader[at];
        if (!lossy || !rng.chance(1, 5)) {
          to_leader.erase(to_leader.begin() + static_cast<std::ptrdiff_t>(at));
        }
        if (!lossy || !rng.chance(1, 4)) {
          const auto decoded = decode_peer_message(message.second);
          ASSERT_TRUE(decoded);
          desk->take(
              kSelf, kLife, std::get<Forward>(*decoded),
              [&](size_t, bool) -> Result<void> {
                if (lossy && rng.chance(1, 10)) return fail(Code::busy, "busy");
                return {};
              },
              [&](std::string payload) { log.push_back({term, std::move(payload)}); });
        }
      }
      for (auto& [to, ack] : desk->acknowledgements())
        to_origin.push_back(encode_peer_message(ack));
      if (!to_origin.empty()) {
        const auto decoded = decode_peer_message(to_origin.front());
        to_origin.erase(to_origin.begin());
        ASSERT_TRUE(decoded);
        if (!lossy || !rng.chance(1, 4)) queue.on_ack(std::get<ForwardAck>(*decoded));
      }
    };
    const auto send = [&] {
      if (!queue.open_to(Term(term))) return;
      while (auto forward = queue.next_forward(Term(term))) {
        to_leader.emplace_back(term, encode_peer_message(*forward));
      }
    };
    const auto apply_some = [&](size_t count) {
      for (; count > 0 && applied < committed; --count) {
        const Entry& entry = log[applied++];
        queue.on_applied_term(Term(entry.term));
        if (entry.payload.empty()) continue;
        std::string_view command = entry.payload;
        const auto tag = core::take_tag(command);
        const uint64_t id = std::stoull(std::string(command));
        EXPECT_TRUE(happened.insert(id).second) << "seed " << seed << ": " << id << " twice";
        order.push_back(id);
        queue.on_applied(*tag, Term(entry.term), {});
      }
    };
    const auto hear = [&] {
      for (const auto& one : queue.told()) {
        EXPECT_TRUE(told.emplace(one.cookie, one.outcome.kind).second) << "told twice";
      }
      queue.told().clear();
    };
    for (int step = 0; step < 400; ++step) {
      switch (rng.below(9)) {
        case 0:
        case 1: {
          const uint64_t id = next++;
          ASSERT_TRUE(queue.push({.payload = queue.blank_tag() + std::to_string(id),
                                  .may_use_reserve = false,
                                  .completion = &client,
                                  .cookie = id,
                                  .now_us = static_cast<uint64_t>(step)}));
          break;
        }
        case 2: send(); break;
        case 3:
        case 4: deliver(true); break;
        case 5:
          if (committed < log.size() && log.back().term == term) {
            committed += 1 + rng.below(log.size() - committed);
          }
          break;
        case 6: apply_some(1 + rng.below(4)); break;
        case 7:
          if (rng.chance(1, 3)) queue.retry();
          if (rng.chance(1, 20) && step > 60) queue.give_up(static_cast<uint64_t>(step) - 60);
          break;
        case 8:
          if (!rng.chance(1, 4)) break;
          ++term;
          log.resize(committed + rng.below(log.size() - committed + 1));
          log.push_back({term, ""});
          desk = std::make_unique<ForwardDesk>();
          desk->begin_term(Term(term));
          break;
      }
      hear();
    }
    for (int step = 0; step < 400; ++step) {  // all is well again
      committed = log.size();
      apply_some(1000);
      if (step % 20 == 0) queue.retry();
      send();
      deliver(false);
      hear();
    }
    EXPECT_TRUE(queue.empty()) << "seed " << seed;
    EXPECT_EQ(told.size(), next - 1) << "seed " << seed;
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << "seed " << seed;
    for (const auto& [id, kind] : told) {
      if (kind == Kind::applied) {
        EXPECT_TRUE(happened.contains(id)) << "seed " << seed;
      }
      if (kind == Kind::refused || kind == Kind::read_only) {
        EXPECT_FALSE(happened.contains(id)) << "seed " << seed << ": write " << id;
      }
    }
  }
}

}  // namespace
}  // namespace doozer::server
