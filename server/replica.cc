#include "server/replica.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"
#include "core/command.h"

namespace doozer::server {
namespace {

constexpr uint64_t kApplySliceUs = 1'500;  ///< of a turn, for proposing and applying
// Between two looks at the clock: an entry counts as one, and once more for each of these bytes.
constexpr size_t kApplyClockEvery = 32;
constexpr size_t kApplyBytesAsOne = 2 * kKiB;

size_t body_bytes(const core::BodyView& body) {
  constexpr size_t kEnvelope = 64;
  if (const auto* set = std::get_if<core::SetView>(&body)) {
    return kEnvelope + set->path.size() + set->value.size();
  }
  if (const auto* del = std::get_if<core::DelView>(&body)) return kEnvelope + del->path.size();
  size_t bytes = kEnvelope;
  if (const auto* transaction = std::get_if<core::TransactionView>(&body)) {
    for (const auto& guard : transaction->guards) bytes += guard.path.size() + 16;
    for (const auto& op : transaction->operations) bytes += op.path.size() + op.value.size() + 16;
  }
  return bytes;
}

}  // namespace

Replica::Replica(env::Clock& clock, storage::Storage& storage, core::Machine& machine,
                 raft::Core core, const Logger& logger)
    : clock_(clock),
      storage_(storage),
      machine_(machine),
      logger_(logger),
      core_(std::move(core)),
      applied_term_(core_.last_term()) {
  storage_.on_persisted([this](Result<uint64_t> tag) { on_persisted(std::move(tag)); });
}

Replica::~Replica() {
  if (unknown_timer_ != 0) clock_.cancel(unknown_timer_);
}

void Replica::start(UniqueFunction<void()> ready) {
  ready_ = std::move(ready);
  // Nobody else could hold what a cut tail lost: a cluster of one ends the doubt by itself.
  storage_.settle_doubt();
  handle(core_.step({.now_us = clock_.now_us(), .event = raft::Tick{}}));
}

// Decided before anything enters the log: whatever was accepted can always be applied and
// replicated.
Result<void> Replica::admit(const core::BodyView& body, size_t bytes) const {
  if (pending_bytes_ + bytes > kProposedBytesMax || proposals_.size() >= kProposedEntriesMax ||
      pending_.size() >= kProposedEntriesMax) {
    return fail(Code::busy, "the server has " + std::to_string(pending_.size()) +
                                " writes under way (" + std::to_string(pending_bytes_) +
                                " bytes); try again later");
  }
  const bool reserve_ok = std::holds_alternative<core::DelView>(body);
  return storage_.admit(bytes, reserve_ok);
}

void Replica::refuse(door::WriteCompletion& completion, uint64_t cookie,
                     door::WriteOutcome outcome) {
  refused_.push_back({.completion = &completion, .cookie = cookie, .outcome = std::move(outcome)});
}

void Replica::submit(const core::BodyView& body, std::string_view principal,
                     door::WriteCompletion& completion, uint64_t cookie) {
  using Kind = door::WriteOutcome::Kind;
  if (dead_ || !leading()) {
    refuse(completion, cookie, {.kind = Kind::read_only, .applied = {}, .error = {}});
    return;
  }
  const size_t bytes = body_bytes(body);
  if (auto admitted = admit(body, bytes); !admitted) {
    refuse(completion, cookie,
           {.kind = Kind::refused, .applied = {}, .error = std::move(admitted).error()});
    return;
  }
  core::CommandView command;
  command.envelope.cluster_version = machine_.cluster_version();
  command.envelope.principal = principal;
  command.envelope.cluster_time_us = static_cast<uint64_t>(std::max<int64_t>(0, clock_.wall_us()));
  command.body = body;
  std::string payload;
  payload.reserve(bytes);
  core::encode_command(command, payload);
  CHECK(payload.size() <= kCommandBytesMax);
  proposals_.push_back({.kind = raft::EntryKind::command, .payload = std::move(payload)});
  proposed_.push_back({.index = Index(),
                       .completion = &completion,
                       .cookie = cookie,
                       .since_us = clock_.now_us(),
                       .bytes = bytes});
  pending_bytes_ += bytes;
}

void Replica::read_index(door::ReadCompletion& completion, uint64_t cookie) {
  asking_.push_back({.completion = &completion, .cookie = cookie});
}

void Replica::forget(const door::WriteCompletion& completion) {
  for (Write& write : proposed_) {
    if (write.completion == &completion) write.completion = nullptr;
  }
  for (Write& write : pending_) {
    if (write.completion == &completion) write.completion = nullptr;
  }
  for (Refusal& refusal : refused_) {
    if (refusal.completion == &completion) refusal.completion = nullptr;
  }
}

void Replica::forget(const door::ReadCompletion& completion) {
  const auto clear = [&](std::vector<Read>& reads) {
    for (Read& read : reads) {
      if (read.completion == &completion) read.completion = nullptr;
    }
  };
  clear(asking_);
  clear(answering_);
  for (ReadRound& round : rounds_) clear(round.reads);
}

void Replica::turn_end() {
  if (dead_) {
    deliver_refusals();
    return;
  }
  const uint64_t began = clock_.now_us();
  propose_batch();
  ask_reads();
  storage_.flush(persist_tag_);
  apply_some(began);
  answer_reads();
  deliver_refusals();
  arm_unknown_timer();
}

void Replica::propose_batch() {
  if (proposals_.empty()) return;
  raft::Propose batch{.proposals = std::move(proposals_)};
  proposals_.clear();
  const raft::Output out = core_.step({.now_us = clock_.now_us(), .event = std::move(batch)});
  if (out.refused) {
    for (const Write& write : proposed_) {
      pending_bytes_ -= write.bytes;
      if (write.completion == nullptr) continue;
      refuse(*write.completion, write.cookie,
             {.kind = door::WriteOutcome::Kind::read_only, .applied = {}, .error = {}});
    }
  } else {
    Index index = out.accepted_first;
    for (Write& write : proposed_) {
      write.index = index;
      pending_.push_back(write);
      ++index;
    }
  }
  proposed_.clear();
  handle(out);
}

// All reads of a turn share one question to the core (dissertation 6.4).
void Replica::ask_reads() {
  if (asking_.empty()) return;
  rounds_.push_back({.ticket = ++read_ticket_, .index = Index(), .reads = std::move(asking_)});
  asking_.clear();
  handle(core_.step({.now_us = clock_.now_us(), .event = raft::ReadIndex{read_ticket_}}));
}

void Replica::handle(const raft::Output& out) {
  if (out.persist_sequence != 0) {
    if (out.truncate_from) storage_.truncate_from(*out.truncate_from);
    for (Index index = out.append_first; index.value() != 0 && index <= out.append_last; ++index) {
      storage_.append(core_.entry(index));
    }
    if (out.hard_state) storage_.set_hard_state(*out.hard_state);
    persist_tag_ = out.persist_sequence;
  }
  for (const raft::ReadReady& ready : out.reads) {
    for (ReadRound& round : rounds_) {
      if (round.ticket == ready.ticket) round.index = ready.index;
    }
  }
  apply_to_ = std::max(apply_to_, out.apply_to);
}

void Replica::on_persisted(Result<uint64_t> tag) {
  if (dead_) return;
  if (!tag) {
    die(with_context(std::move(tag).error(), "the log cannot be written, so this server stops"));
    return;
  }
  handle(core_.step({.now_us = clock_.now_us(), .event = raft::Persisted{*tag}}));
  // The turn's end goes on from here: it applies, answers, and flushes what the core asked for.
}

// What proposing took of the turn's share is not there for applying, but some is always applied.
void Replica::apply_some(uint64_t began_us) {
  size_t since_look = 0;
  const Index before = machine_.applied();
  while (machine_.applied() < apply_to_) {
    const uint64_t bytes_before = applied_bytes_;
    if (!apply_one(machine_.applied() + 1)) return;
    since_look += 1 + static_cast<size_t>(applied_bytes_ - bytes_before) / kApplyBytesAsOne;
    if (since_look < kApplyClockEvery) continue;
    since_look = 0;
    if (clock_.now_us() - began_us > kApplySliceUs) {
      PROBE("replica: applying went on in a later turn");
      ++slow_applies_;
      clock_.post([] {});
      break;
    }
  }
  if (machine_.applied() == before) return;
  core_.step({.now_us = began_us, .event = raft::AppliedTo{machine_.applied()}});
  if (ready_ && leading() && machine_.applied() == core_.last_index()) {
    UniqueFunction<void()> ready = std::move(ready_);
    ready_ = {};
    ready();
  }
}

bool Replica::apply_one(Index index) {
  const raft::Entry& entry = core_.entry(index);
  applied_term_ = entry.term;
  applied_bytes_ += entry.payload.size();
  if (entry.kind != raft::EntryKind::command) {
    machine_.apply_internal(index);
    return true;
  }
  auto applied = machine_.apply(index, entry.payload);
  if (!applied) {
    die(with_context(std::move(applied).error(),
                     "entry " + std::to_string(index.value()) + " cannot be applied"));
    return false;
  }
  answer(index, *applied);
  return true;
}

void Replica::answer(Index index, const core::Applied& applied) {
  if (pending_.empty() || pending_.front().index != index) return;
  const Write write = pending_.front();
  pending_.pop_front();
  pending_bytes_ -= write.bytes;
  if (write.completion == nullptr) return;
  write.completion->on_written(
      write.cookie, {.kind = door::WriteOutcome::Kind::applied, .applied = applied, .error = {}});
}

void Replica::answer_reads() {
  while (!rounds_.empty()) {
    ReadRound& front = rounds_.front();
    if (front.index.value() == 0 || machine_.applied() < front.index) return;
    // Kept in a member: a completion may forget others of this round while it is called.
    answering_ = std::move(front.reads);
    rounds_.pop_front();
    for (size_t i = 0; i < answering_.size(); ++i) {
      const Read read = std::exchange(answering_[i], Read{});
      if (read.completion != nullptr) read.completion->on_readable(read.cookie, {});
    }
    answering_.clear();
  }
}

void Replica::deliver_refusals() {
  for (size_t i = 0; i < refused_.size(); ++i) {
    const Refusal refusal = std::exchange(refused_[i], Refusal{});
    if (refusal.completion != nullptr) {
      refusal.completion->on_written(refusal.cookie, refusal.outcome);
    }
  }
  refused_.clear();
}

// A write whose outcome is not known after kUnknownAfterUs is told "unknown"; it may still happen.
void Replica::arm_unknown_timer() {
  if (unknown_timer_ != 0) return;
  const auto oldest = first_untold();
  if (oldest == pending_.end()) return;
  unknown_timer_ = clock_.at(oldest->since_us + kUnknownAfterUs, [this] {
    unknown_timer_ = 0;
    give_up_old_writes();
  });
}

std::deque<Replica::Write>::iterator Replica::first_untold() {
  return std::upper_bound(pending_.begin(), pending_.end(), told_unknown_to_,
                          [](Index told, const Write& write) { return told < write.index; });
}

void Replica::give_up_old_writes() {
  const uint64_t now = clock_.now_us();
  size_t told = 0;
  for (auto write = first_untold(); write != pending_.end(); ++write) {
    if (write->since_us + kUnknownAfterUs > now) break;
    told_unknown_to_ = write->index;
    door::WriteCompletion* const completion = std::exchange(write->completion, nullptr);
    if (completion == nullptr) continue;
    PROBE("replica: a write's outcome became unknown");
    ++told;
    completion->on_written(write->cookie, {.kind = door::WriteOutcome::Kind::unknown,
                                           .applied = {},
                                           .error = {Code::unknown_outcome,
                                                     "the log did not answer in time; the write "
                                                     "may or may not happen"}});
  }
  if (told > 0) logger_.warn("writes_unknown", {{"count", told}, {"pending", pending_.size()}});
}

void Replica::die(const Error& error) {
  if (std::exchange(dead_, true)) return;
  logger_.error("replica_dead", {{"error", error.message}});
  const door::WriteOutcome unknown{.kind = door::WriteOutcome::Kind::unknown,
                                   .applied = {},
                                   .error = {Code::unknown_outcome, error.message}};
  for (size_t i = 0; i < pending_.size(); ++i) {
    door::WriteCompletion* const completion = std::exchange(pending_[i].completion, nullptr);
    if (completion != nullptr) completion->on_written(pending_[i].cookie, unknown);
  }
  for (const Write& write : proposed_) {
    if (write.completion == nullptr) continue;
    refuse(*write.completion, write.cookie,
           {.kind = door::WriteOutcome::Kind::read_only, .applied = {}, .error = {}});
  }
  proposals_.clear();
  proposed_.clear();
  if (fatal_) fatal_(error);
}

}  // namespace doozer::server
