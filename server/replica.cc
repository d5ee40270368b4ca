#include "server/replica.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"
#include "core/command.h"
#include "core/membership.h"
#include "raft/message.h"
#include "server/apply_entry.h"

namespace doozer::server {
namespace {

constexpr uint64_t kApplySliceUs = 1'500;  ///< of a turn, for proposing and applying
// Between two looks at the clock: an entry counts as one, and once more for each of these bytes.
constexpr size_t kApplyClockEvery = 32;
constexpr size_t kApplyBytesAsOne = 2 * kKiB;
// Given to the log in one turn, unless one write is more: each of these bytes is copied and summed.
constexpr size_t kProposeBytesPerTurn = 1 * kMiB;

size_t body_bytes(const core::BodyView& body) {
  constexpr size_t kEnvelope = 64;
  if (const auto* set = std::get_if<core::SetView>(&body)) {
    return kEnvelope + set->path.size() + set->value.size();
  }
  return kEnvelope;
}

}  // namespace

Replica::Replica(env::Clock& clock, storage::Storage& storage,
                 std::unique_ptr<core::Machine> machine, raft::Core core, ReplicaHost& host,
                 const ReplicaOptions& options, const Logger& logger)
    : clock_(clock),
      storage_(storage),
      host_(host),
      options_(options),
      logger_(logger),
      machine_(std::move(machine)),
      core_(std::move(core)),
      applied_term_(core_.term_of(machine_->applied()).value_or(Term())),
      queue_(options.self, options.incarnation) {
  storage_.on_persisted([this](Result<uint64_t> tag) { on_persisted(std::move(tag)); });
}

Replica::~Replica() {
  for (const env::TimerId timer : {tick_timer_, give_up_timer_, retry_timer_}) {
    if (timer != 0) clock_.cancel(timer);
  }
}

void Replica::start() {
  if (options_.observer != nullptr) options_.observer->on_begin(core_);
  handle(step(raft::Tick{}));
}

raft::Output Replica::step(raft::Event event) {
  raft::Output out = core_.step({.now_us = clock_.now_us(), .event = std::move(event)});
  if (options_.observer != nullptr) options_.observer->on_step(core_, out);
  return out;
}

// --- The order: persist and send, then (turn_end) flush, apply, answer.

void Replica::handle(const raft::Output& out) {
  persist(out);
  if (out.settle) storage_.settle_doubt();
  post_sends(out);
  for (const raft::ReadReady& ready : out.reads) reads_.confirm(ready.ticket, ready.index);
  apply_to_ = std::max(apply_to_, out.apply_to);
  if (out.fetch_snapshot) host_.on_fetch_snapshot(*out.fetch_snapshot);
  if (out.snapshot_wanted) host_.on_snapshot_wanted();
  if (out.fatal) {
    die(*out.fatal, out.rolled_back);
    return;
  }
  arm_tick(out.next_deadline_us);
  note_changes();
}

void Replica::persist(const raft::Output& out) {
  if (out.persist_sequence == 0) return;
  // out.reset_log: the storage has done that, when it installed the snapshot.
  if (out.truncate_from) storage_.truncate_from(*out.truncate_from);
  for (Index index = out.append_first; index.value() != 0 && index <= out.append_last; ++index) {
    storage_.append(core_.entry(index));
  }
  if (out.hard_state) storage_.set_hard_state(*out.hard_state);
  persist_tag_ = out.persist_sequence;
  if (log_since_us_ == 0) log_since_us_ = clock_.now_us();
}

void Replica::post_sends(const raft::Output& out) {
  for (const raft::Send& send : out.sends) {
    std::string payload;
    begin_raft_message(payload);
    raft::encode_message(send, core_, payload);
    host_.post(send.to, send.bulk, std::move(payload));
  }
}

void Replica::note_changes() {
  if (core_.role() == role_before_ && core_.term() == term_before_ &&
      core_.leader() == leader_before_ && core_.configuration_index() == configuration_before_) {
    return;
  }
  const bool began_to_lead =
      leading() && (role_before_ != raft::Role::leader || core_.term() != term_before_);
  role_before_ = core_.role();
  term_before_ = core_.term();
  leader_before_ = core_.leader();
  configuration_before_ = core_.configuration_index();
  if (began_to_lead || !leading()) proposals_.clear();  // they are of a term that is over
  if (began_to_lead) {
    desk_.begin_term(core_.term());
    proposed_bytes_ = 0;
  }
  host_.on_cluster_changed();
}

void Replica::arm_tick(uint64_t deadline_us) {
  if (deadline_us == 0 || (tick_timer_ != 0 && tick_us_ <= deadline_us)) return;
  if (tick_timer_ != 0) clock_.cancel(tick_timer_);
  tick_us_ = deadline_us;
  tick_timer_ = clock_.at(deadline_us, [this] {
    tick_timer_ = 0;
    if (!dead_) handle(step(raft::Tick{}));
  });
}

bool Replica::turn_end() {
  if (dead_) {
    tell();
    return false;
  }
  const uint64_t began = clock_.now_us();
  collect_own();
  propose_batch();
  forward_batch();
  ask_reads();
  storage_.flush(persist_tag_);
  apply_some(began);
  reads_.answer(machine_->applied());
  post_acknowledgements();
  tell();
  arm_give_up_timer();
  arm_retry_timer();
  // A completion may have submitted something, and what was applied may have opened a term.
  return reads_.has_new() || (queue_.has_unsent() && !core_.leader().none() &&
                              queue_.open_to(core_.term()) && !queue_.waits_for_ack());
}

void Replica::on_persisted(Result<uint64_t> tag) {
  if (dead_) return;
  if (!tag) {
    die(with_context(std::move(tag).error(), "the log cannot be written, so this server stops"));
    return;
  }
  persisted_tag_ = *tag;
  log_since_us_ = persisted_tag_ == persist_tag_ ? 0 : clock_.now_us();
  handle(step(raft::Persisted{*tag}));
  // The turn's end goes on from here: it applies, answers, and flushes what the core asked for.
}

// What proposing took of the turn's share is not there for applying, but some is always applied.
void Replica::apply_some(uint64_t began_us) {
  size_t since_look = 0;
  const Index before = machine_->applied();
  const uint64_t bytes_applied = applied_bytes_;
  while (!installing_ && machine_->applied() < apply_to_) {
    const uint64_t bytes_before = applied_bytes_;
    if (!apply_one(machine_->applied() + 1)) return;
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
  if (machine_->applied() == before) return;
  pace_.applied(clock_.now_us(),
                {.writes = machine_->applied() - before, .bytes = applied_bytes_ - bytes_applied},
                waiting());
  if (machine_->applied() > core_.applied()) {
    handle(step(raft::AppliedTo{machine_->applied()}));
  }
}

bool Replica::apply_one(Index index) {
  const raft::Entry& entry = core_.entry(index);
  auto done = apply_entry(*machine_, entry);
  if (!done) {
    die(with_context(std::move(done).error(),
                     "entry " + std::to_string(index.value()) + " cannot be applied"));
    return false;
  }
  if (options_.observer != nullptr) options_.observer->on_applied(core_, entry);
  applied_term_ = entry.term;
  applied_bytes_ += entry.payload.size();
  proposed_bytes_ -= std::min(proposed_bytes_, entry.payload.size());
  queue_.on_applied_term(entry.term);
  if (done->tag && done->tag->origin == options_.self) {
    queue_.on_applied(*done->tag, entry.term, done->applied);
  }
  if (index.value() % options_.digest_every == 0) host_.on_digest(machine_->digests());
  return true;
}

// --- Writes.

// A follower whose disk hangs might take writes all the same: the others commit what it forwards.
// But the leader sends no more than its window to whoever acknowledges nothing, and a write behind
// that would not be heard of here: unknown. How far the window reaches, nobody can tell a client;
// another server can serve it.
bool Replica::may_write() const {
  return !dead_ && !log_hangs() && core_.forsaken_us(clock_.now_us()) < kReadOnlyAfterUs;
}

bool Replica::log_hangs() const {
  if (log_since_us_ == 0 || clock_.now_us() - log_since_us_ <= kSlowSyncUs) return false;
  // Of a server alone nobody else could do better: its clients wait as long as its disk does.
  return raft::all_voters(core_.configuration()).size() > 1;
}

Error Replica::why_read_only() const {
  if (!log_hangs()) return {Code::read_only, "no majority of the servers can be reached"};
  const uint64_t ms = (clock_.now_us() - log_since_us_) / 1'000;
  return {Code::read_only,
          "this server has waited " + std::to_string(ms) +
              " ms for its disk, which is stuck or slow; another server may serve"};
}

void Replica::submit(const core::BodyView& body, std::string_view principal,
                     door::WriteCompletion& completion, uint64_t cookie) {
  using Kind = door::WriteOutcome::Kind;
  if (!may_write()) {
    telling_.push_back({.completion = &completion,
                        .cookie = cookie,
                        .outcome = {.kind = Kind::read_only, .applied = {}, .error = {}}});
    return;
  }
  const WriteAmount queued{.writes = queue_.size(), .bytes = queue_.bytes()};
  if (!pace_.has_place(queued, body_bytes(body)) && principal != core::kSystemPrincipal) {
    PROBE("replica: more was sent than can be done");
    telling_.push_back({.completion = &completion,
                        .cookie = cookie,
                        .outcome = {.kind = Kind::refused, .applied = {}, .error = crowded()}});
    return;
  }
  core::CommandView command;
  command.envelope.cluster_version = machine_->cluster_version();
  command.envelope.principal = principal;
  command.envelope.cluster_time_us = static_cast<uint64_t>(std::max<int64_t>(0, clock_.wall_us()));
  command.body = body;
  std::string payload;
  payload.reserve(core::kWriteTagBytes + body_bytes(body));
  payload = queue_.blank_tag();
  core::encode_command(command, payload);
  CHECK(payload.size() <= core::kWriteTagBytes + kCommandBytesMax);
  auto pushed = queue_.push({.payload = std::move(payload),
                             .may_use_reserve = std::holds_alternative<core::DelView>(body),
                             .completion = &completion,
                             .cookie = cookie,
                             .now_us = clock_.now_us()});
  if (pushed) return;
  telling_.push_back(
      {.completion = &completion,
       .cookie = cookie,
       .outcome = {.kind = Kind::refused, .applied = {}, .error = std::move(pushed).error()}});
}

Error Replica::crowded() const {
  const WriteAmount amount = waiting();
  return {Code::busy, std::to_string(amount.writes) + " writes (" + std::to_string(amount.bytes) +
                          " bytes) are under way, as many as can be done in time; try again later"};
}

/// Writes that were submitted here or proposed, and not applied.
WriteAmount Replica::waiting() const {
  const WriteAmount given = proposed();
  return {.writes = std::max<uint64_t>(queue_.size(), given.writes),
          .bytes = std::max<uint64_t>(queue_.bytes(), given.bytes)};
}

WriteAmount Replica::proposed() const {
  if (!leading()) return {};
  return {.writes = core_.last_index() - machine_->applied(), .bytes = proposed_bytes_};
}

// Decided before anything enters the log: whatever was accepted can always be applied and
// replicated.
Result<void> Replica::admit(size_t bytes, bool may_use_reserve) const {
  if (core_.full() || !pace_.has_place(proposed(), bytes)) return fail(crowded());
  if (cluster_full_ && !may_use_reserve) {
    return fail(Code::no_space,
                "no majority of the servers has room on its disk; deletions are still taken");
  }
  return storage_.admit(bytes, may_use_reserve);
}

void Replica::collect_own() {
  if (!leading() || !queue_.open_to(core_.term())) return;
  size_t taken = 0;
  while (taken < kProposeBytesPerTurn) {
    auto own = queue_.next_own(core_.term());
    if (!own) break;
    const size_t bytes = own->payload.size();
    taken += bytes;
    if (auto admitted = admit(bytes, own->may_use_reserve); !admitted) {
      queue_.refuse_own(own->sequence, std::move(admitted).error());
      continue;
    }
    proposed_bytes_ += bytes;
    proposals_.push_back({.kind = raft::EntryKind::forwarded, .payload = std::move(own->payload)});
  }
}

// While leadership is handed over, or too much is not applied yet, the log takes nothing: what was
// collected waits, as nobody may be found to take over. If somebody is, or this server leads no
// longer for another reason, the writers hear of it when the next leader's first entry is applied.
void Replica::propose_batch() {
  if (proposals_.empty() || core_.transferring() || core_.full()) return;
  size_t bytes = 0;
  for (const raft::Proposal& proposal : proposals_) bytes += proposal.payload.size();
  const raft::Output out = step(raft::Propose{.proposals = std::exchange(proposals_, {})});
  if (out.refused) proposed_bytes_ -= std::min(proposed_bytes_, bytes);
  handle(out);
}

void Replica::forward_batch() {
  if (leading() || core_.leader().none() || !queue_.open_to(core_.term())) return;
  while (auto forward = queue_.next_forward(core_.term())) {
    host_.post(core_.leader(), false, encode_peer_message(*forward));
  }
}

void Replica::on_forward(const Identity& from, Incarnation incarnation, const Forward& forward) {
  if (!leading() || dead_) return;
  desk_.take(
      from, incarnation, forward,
      [this](size_t bytes, bool may_use_reserve) { return admit(bytes, may_use_reserve); },
      [this](std::string payload) {
        proposed_bytes_ += payload.size();
        proposals_.push_back({.kind = raft::EntryKind::forwarded, .payload = std::move(payload)});
      });
}

void Replica::on_forward_ack(const Identity& from, const ForwardAck& ack) {
  if (from == core_.leader()) queue_.on_ack(ack);
}

void Replica::post_acknowledgements() {
  if (!leading() || !desk_.has_acknowledgements()) return;
  for (auto& [to, ack] : desk_.acknowledgements()) {
    host_.post(to, false, encode_peer_message(std::move(ack)));
  }
}

void Replica::arm_retry_timer() {
  if (retry_timer_ != 0 || !queue_.waits_for_ack()) return;
  retry_acked_ = queue_.acked_to();
  retry_since_us_ = clock_.now_us();
  set_retry_timer();
}

// More may have been sent since the timer was armed: then there is more to wait for.
void Replica::set_retry_timer() {
  retry_timer_ = clock_.at(retry_since_us_ + queue_.retry_wait_us(), [this] {
    retry_timer_ = 0;
    if (!queue_.waits_for_ack() || queue_.acked_to() != retry_acked_) return;
    if (clock_.now_us() < retry_since_us_ + queue_.retry_wait_us()) return set_retry_timer();
    queue_.retry();
  });
}

void Replica::forget(const door::WriteCompletion& completion) {
  queue_.forget(completion);
  for (WriteQueue::Told& told : telling_) {
    if (told.completion == &completion) told.completion = nullptr;
  }
}

// A completion may forget others, or submit again, while it is called.
void Replica::tell() {
  for (WriteQueue::Told& told : queue_.told()) telling_.push_back(std::move(told));
  queue_.told().clear();
  for (size_t i = 0; i < telling_.size(); ++i) {
    const WriteQueue::Told told = std::exchange(telling_[i], {});
    if (told.completion != nullptr) told.completion->on_written(told.cookie, told.outcome);
  }
  telling_.clear();
}

// A write whose outcome is not known after kUnknownAfterUs is told "unknown"; it may still happen.
void Replica::arm_give_up_timer() {
  if (give_up_timer_ != 0) return;
  const auto write = queue_.oldest_untold_us();
  const auto read = reads_.oldest_us();
  if (!write && !read) return;
  const uint64_t oldest = std::min(write.value_or(UINT64_MAX), read.value_or(UINT64_MAX));
  give_up_timer_ = clock_.at(oldest + kUnknownAfterUs, [this] {
    give_up_timer_ = 0;
    const uint64_t since = clock_.now_us() - kUnknownAfterUs;
    const uint64_t before = queue_.unknown();
    queue_.give_up(since);
    if (queue_.unknown() > before) {
      logger_.warn("writes_unknown",
                   {{"count", queue_.unknown() - before}, {"pending", queue_.size()}});
    }
    const Error no_answer{Code::read_only, "no majority of the servers confirms the read in time"};
    const uint64_t ticket = reads_.fail_old(since, log_hangs() ? why_read_only() : no_answer);
    if (ticket != 0) handle(step(raft::CancelReads{ticket}));
  });
}

// --- Reads.

void Replica::read_index(door::ReadCompletion& completion, uint64_t cookie) {
  reads_.add(completion, cookie);
}

void Replica::forget(const door::ReadCompletion& completion) { reads_.forget(completion); }

void Replica::ask_reads() {
  if (const auto ticket = reads_.begin_round(clock_.now_us())) {
    handle(step(raft::ReadIndex{*ticket}));
  }
}

// --- What comes from outside.

void Replica::on_raft(const Identity& from, Incarnation incarnation, std::string_view bytes) {
  if (dead_) return;
  auto message = raft::decode_message(bytes);
  if (!message) {
    logger_.warn("peer_message_bad", {{"from", from.to_string()},
                                      {"error", std::string_view(message.error().message)}});
    return;
  }
  if (auto* const append = std::get_if<raft::Append>(&*message); append && installing_) {
    // Only that the leader lives is heard: an installation may take longer than its patience, and
    // ours.
    append->prev = {};
    append->entries.clear();
  }
  handle(step(raft::Receive{
      .from = from, .from_incarnation = incarnation, .message = std::move(*message)}));
}

void Replica::on_gone(const Identity& identity, Incarnation incarnation) {
  if (!dead_) handle(step(raft::PeerGone{.identity = identity, .incarnation = incarnation}));
}

void Replica::set_standbys(std::vector<Identity> standbys) {
  if (!dead_) handle(step(raft::SetStandbys{std::move(standbys)}));
}

Result<void> Replica::change_voters(std::vector<Identity> voters) {
  const raft::Output out = step(raft::ChangeVoters{std::move(voters)});
  handle(out);
  if (out.refused) return fail(out.reason);
  return {};
}

Result<void> Replica::hand_over(std::optional<Identity> to) {
  const raft::Output out = step(raft::TransferLeadership{to});
  handle(out);
  if (out.refused) return fail(out.reason);
  return {};
}

void Replica::step_down() { handle(step(raft::StepDown{})); }

void Replica::set_leadable(bool leadable, bool last_resort) {
  if (!dead_) {
    handle(step(raft::SetLeadable{.leadable = leadable, .last_resort = last_resort}));
  }
}

void Replica::snapshot_taken(const raft::SnapshotPoint& point) {
  if (!dead_) handle(step(raft::SnapshotTaken{point}));
}

void Replica::end_install(std::unique_ptr<core::Machine> machine, const raft::SnapshotPoint& point,
                          bool whole) {
  installing_ = false;
  CHECK(machine->applied() == point.index);
  released_.push_back(std::exchange(machine_, std::move(machine)));
  applied_term_ = point.term;
  queue_.on_jump();
  queue_.on_applied_term(point.term);
  if (!whole) return;
  apply_to_ = std::max(apply_to_, point.index);
  handle(step(raft::SnapshotInstalled{point}));
  CHECK(core_.last_index() == storage_.last_index());
}

bool Replica::release(Budget& budget) {
  while (!released_.empty()) {
    if (released_.back()->release(budget)) return true;
    released_.pop_back();
  }
  return false;
}

void Replica::give_up_all(const Error& why) {
  queue_.give_up_all(why);
  reads_.fail_old(UINT64_MAX, why);
  tell();
}

void Replica::die(const Error& error, bool rolled_back) {
  if (std::exchange(dead_, true)) return;
  logger_.error("replica_dead", {{"error", std::string_view(error.message)}});
  proposals_.clear();
  give_up_all(error);
  host_.on_fatal(error, rolled_back);
}

}  // namespace doozer::server
