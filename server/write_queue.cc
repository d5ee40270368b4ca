#include "server/write_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"

namespace doozer::server {

using Kind = door::WriteOutcome::Kind;

WriteQueue::WriteQueue(const Identity& self, Incarnation incarnation)
    : self_{.origin = self, .incarnation = incarnation, .sequence = 0} {
  core::encode_tag(self_, blank_tag_);
}

Result<void> WriteQueue::push(NewWrite write) {
  CHECK(write.payload.size() > core::kWriteTagBytes);
  if (bytes_ + write.payload.size() > kProposedBytesMax || writes_.size() >= kProposedEntriesMax) {
    return fail(Code::busy, "the server has " + std::to_string(writes_.size()) +
                                " writes under way (" + std::to_string(bytes_) +
                                " bytes); try again later");
  }
  bytes_ += write.payload.size();
  const size_t bytes = write.payload.size();
  writes_.push_back({.payload = std::move(write.payload),
                     .bytes = bytes,
                     .may_use_reserve = write.may_use_reserve,
                     .completion = write.completion,
                     .cookie = write.cookie,
                     .since_us = write.now_us,
                     .settled = false});
  return {};
}

void WriteQueue::forget(const door::WriteCompletion& completion) {
  for (Write& write : writes_) {
    if (write.completion == &completion) write.completion = nullptr;
  }
  for (Told& told : told_) {
    if (told.completion == &completion) told.completion = nullptr;
  }
}

bool WriteQueue::open_to(Term term) const { return stamped_ == 0 || term_ == term; }

size_t WriteQueue::sent_count() const {
  return sent_to_ < first_sequence() ? 0 : static_cast<size_t>(sent_to_ - first_sequence() + 1);
}

WriteQueue::Write* WriteQueue::stamped_at(uint64_t sequence) {
  if (sequence < first_sequence() || sequence >= next_sequence_) return nullptr;
  return &writes_[static_cast<size_t>(sequence - first_sequence())];
}

void WriteQueue::begin_term(Term term) {
  if (term_ == term) return;
  CHECK(stamped_ == 0);
  CHECK(term > term_);
  term_ = term;
  next_sequence_ = 1;
  sent_to_ = 0;
  acked_to_ = 0;
  unacked_.clear();
  inflight_bytes_ = 0;
  retries_ = 0;
}

std::optional<WriteQueue::Own> WriteQueue::next_own(Term term) {
  CHECK(open_to(term));
  begin_term(term);
  CHECK(sent_to_ + 1 == next_sequence_);
  if (stamped_ == writes_.size()) return std::nullopt;
  Write& write = writes_[stamped_];
  CHECK(!write.settled);
  Own own{.payload = write.payload,
          .may_use_reserve = write.may_use_reserve,
          .sequence = next_sequence_};
  core::set_sequence(own.payload, own.sequence);
  ++stamped_;
  ++next_sequence_;
  sent_to_ = own.sequence;
  acked_to_ = own.sequence;
  return own;
}

void WriteQueue::refuse_own(uint64_t sequence, Error error) {
  Write* const write = stamped_at(sequence);
  CHECK(write != nullptr);
  settle_refused(*write, std::move(error));
  drop_settled_front();
}

std::optional<Forward> WriteQueue::next_forward(Term term) {
  CHECK(open_to(term));
  begin_term(term);
  Forward forward{.term = term, .first = sent_to_ + 1, .items = {}};
  size_t bytes = 0;
  while (forward.items.size() < kForwardItemsMax && bytes < kForwardBytesMax &&
         inflight_bytes_ < kForwardWindowBytes) {
    const uint64_t sequence = sent_to_ + 1;
    if (sequence == next_sequence_) {
      if (stamped_ == writes_.size()) break;
      ++stamped_;
      ++next_sequence_;
    }
    ForwardItem item;
    size_t size = 0;
    if (Write* const write = stamped_at(sequence); write != nullptr) {
      if (!write->payload.empty()) core::set_sequence(write->payload, sequence);
      // One that would make the message much too large begins the next one.
      if (!forward.items.empty() && bytes + write->payload.size() > kForwardBytesMax) break;
      item = {.may_use_reserve = write->may_use_reserve, .payload = write->payload};
      size = write->payload.size();
    } else {
      PROBE("write_queue: the leader wanted a sequence again that was given up");
    }
    forward.items.push_back(item);
    sent_to_ = sequence;
    unacked_.push_back(size);
    inflight_bytes_ += size;
    bytes += size;
  }
  if (forward.items.empty()) return std::nullopt;
  return forward;
}

void WriteQueue::on_ack(const ForwardAck& ack) {
  if (ack.term != term_ || ack.taken_to > sent_to_) return;
  for (const Refusal& refusal : ack.refused) {
    if (refusal.sequence > ack.taken_to) continue;
    Write* const write = stamped_at(refusal.sequence);
    if (write != nullptr && !write->settled) settle_refused(*write, refusal.error);
  }
  acknowledge(ack.taken_to);
  drop_settled_front();
}

void WriteQueue::acknowledge(uint64_t to) {
  if (acked_to_ < to) retries_ = 0;
  while (acked_to_ < to) {
    ++acked_to_;
    if (unacked_.empty()) continue;
    inflight_bytes_ -= unacked_.front();
    unacked_.pop_front();
  }
  sent_to_ = std::max(sent_to_, acked_to_);
}

void WriteQueue::retry() {
  PROBE("write_queue: forwarded again");
  retries_ = std::min(retries_ + 1, kForwardRetriesDoubled);
  sent_to_ = acked_to_;
  unacked_.clear();
  inflight_bytes_ = 0;
}

uint64_t WriteQueue::retry_wait_us() const {
  return std::min((kForwardRetryUs + inflight_bytes_ / kForwardBytesPerUs) << retries_,
                  kUnknownAfterUs / 2);
}

void WriteQueue::on_applied(const core::WriteTag& tag, Term term, const core::Applied& applied) {
  CHECK(tag.origin == self_.origin);
  if (tag.incarnation != self_.incarnation || term != term_) return;
  if (stamped_at(tag.sequence) == nullptr) return;
  while (first_sequence() < tag.sequence) {
    // The leader takes sequences in order: this one it passed over, and its word was lost.
    PROBE("write_queue: a refusal was concluded from a later write");
    if (!writes_.front().settled) {
      settle_refused(writes_.front(), {Code::busy, "the leader did not take the write; try again"});
    }
    acknowledge(first_sequence());
    writes_.pop_front();
    --stamped_;
  }
  Write& write = writes_.front();
  if (!write.settled) {
    settle(write, {.kind = Kind::applied, .applied = applied, .error = {}});
  }
  acknowledge(tag.sequence);
  writes_.pop_front();
  --stamped_;
  drop_settled_front();
}

void WriteQueue::on_applied_term(Term term) {
  if (stamped_ == 0 || term_ >= term) return;
  PROBE("write_queue: writes certainly not executed are submitted again");
  stamped_ = 0;
  begin_term(term);
  drop_settled_unstamped();
}

void WriteQueue::on_jump() {
  for (size_t i = 0; i < stamped_; ++i) {
    if (writes_[i].settled) continue;
    PROBE("write_queue: a snapshot jumped over a write");
    settle_unknown(writes_[i], "a snapshot took the place of the log");
  }
  writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(stamped_));
  stamped_ = 0;
  drop_settled_unstamped();
}

void WriteQueue::give_up(uint64_t since_us) {
  for (size_t i = 0; i < writes_.size() && writes_[i].since_us <= since_us; ++i) {
    if (writes_[i].settled) continue;
    if (i < stamped_) {
      PROBE("write_queue: a write's outcome became unknown");
      settle_unknown(writes_[i], "no answer in time");
    } else {
      PROBE("write_queue: a write found no leader in time");
      settle_read_only(writes_[i]);
    }
  }
  drop_settled_front();
  drop_settled_unstamped();
}

void WriteQueue::give_up_all(const Error& why) {
  for (size_t i = 0; i < writes_.size(); ++i) {
    if (writes_[i].settled) continue;
    if (i < stamped_) {
      settle_unknown(writes_[i], why.message);
    } else {
      settle_read_only(writes_[i]);
    }
  }
  drop_settled_front();
  drop_settled_unstamped();
}

std::optional<uint64_t> WriteQueue::oldest_untold_us() const {
  for (const Write& write : writes_) {
    if (!write.settled) return write.since_us;
  }
  return std::nullopt;
}

void WriteQueue::settle(Write& write, door::WriteOutcome outcome) {
  CHECK(!write.settled);
  write.settled = true;
  bytes_ -= write.bytes;
  write.payload = std::string();
  door::WriteCompletion* const completion = std::exchange(write.completion, nullptr);
  if (completion == nullptr) return;
  told_.push_back(
      {.completion = completion, .cookie = write.cookie, .outcome = std::move(outcome)});
}

void WriteQueue::settle_refused(Write& write, Error error) {
  settle(write, {.kind = Kind::refused, .applied = {}, .error = std::move(error)});
}

void WriteQueue::settle_read_only(Write& write) {
  settle(write, {.kind = Kind::read_only, .applied = {}, .error = {}});
}

// Its sequence is not acknowledged by this: if the leader asks for it again, it gets an empty one.
void WriteQueue::drop_settled_front() {
  while (stamped_ > 0 && writes_.front().settled) {
    writes_.pop_front();
    --stamped_;
  }
}

// Whoever was told "unknown" must not see a later write of the same connection happen that had not
// even been handed over: it would have been meant for a world in which the first one happened.
void WriteQueue::settle_unknown(Write& write, std::string_view why) {
  const door::WriteCompletion* const completion = write.completion;
  ++unknown_;
  settle(write, {.kind = Kind::unknown,
                 .applied = {},
                 .error = {Code::unknown_outcome,
                           std::string(why) + "; the write may or may not happen"}});
  if (completion != nullptr) refuse_unstamped_of(completion);
}

void WriteQueue::refuse_unstamped_of(const door::WriteCompletion* completion) {
  for (size_t i = stamped_; i < writes_.size(); ++i) {
    if (writes_[i].completion == completion && !writes_[i].settled) settle_read_only(writes_[i]);
  }
}

void WriteQueue::drop_settled_unstamped() {
  const auto begin = writes_.begin() + static_cast<std::ptrdiff_t>(stamped_);
  writes_.erase(
      std::remove_if(begin, writes_.end(), [](const Write& write) { return write.settled; }),
      writes_.end());
}

}  // namespace doozer::server
