#include "server/snapshot_fetch.h"

#include <algorithm>
#include <utility>

#include "base/probe.h"
#include "server/cluster_limits.h"

namespace doozer::server {

SnapshotFetch::SnapshotFetch(env::Clock& clock, storage::Storage& storage,
                             const core::MachineOptions& machine, Hooks hooks, const Logger& logger)
    : clock_(clock),
      storage_(storage),
      machine_options_(machine),
      hooks_(std::move(hooks)),
      logger_(logger) {}

SnapshotFetch::~SnapshotFetch() {
  if (timer_ != 0) clock_.cancel(timer_);
}

void SnapshotFetch::want(const Identity& from, const raft::LogPosition& point) {
  if (installing_) return;
  const bool again = source_ && told_ == point;
  told_by_ = from;
  told_ = point;
  if (source_ && goes_on(from, point)) return;
  const bool silent = clock_.now_us() - progress_us_ >= kSnapshotRetryUs;
  if (again && !header_ && (*source_ == from || !silent)) return;
  if (!source_) began_us_ = clock_.now_us();
  wanted_ = point;
  drop_image();
  progress_us_ = clock_.now_us();
  go_on_at(from);
  arm_timer();
}

/// Is what was begun still worth its end, when this is wanted? (A state of term 0 must not be
/// older.)
bool SnapshotFetch::goes_on(const Identity& from, const raft::LogPosition& point) {
  if (!header_) return false;
  const uint64_t idle = clock_.now_us() - progress_us_;
  const bool the_same = under_way() == point;
  const bool any_state = point.term == Term();
  if (any_state && header_->point.index < point.index) return false;
  if (!the_same && !any_state) return idle < kSnapshotGiveUpUs;
  without_.erase(from);
  if (*source_ != from && idle >= kSnapshotRetryUs && !end_) {
    PROBE("snapshot_fetch: another source went on");
    go_on_at(from);
  }
  return true;
}

raft::LogPosition SnapshotFetch::under_way() const {
  if (!header_) return wanted_;
  return {.index = header_->point.index, .term = header_->point.term};
}

/// Turns to the next server that may have the very same one; false if there is none.
bool SnapshotFetch::next_source() {
  if (under_way().term == Term()) return false;
  std::vector<Identity> others = hooks_.others();
  std::erase_if(others, [this](const Identity& other) { return without_.contains(other); });
  if (others.empty()) return false;
  auto next = std::upper_bound(others.begin(), others.end(), *source_);
  if (next == others.end()) next = others.begin();
  if (*next == *source_) return false;
  if (header_) PROBE("snapshot_fetch: another source went on");
  go_on_at(*next);
  return true;
}

void SnapshotFetch::go_on_at(const Identity& source) {
  source_ = source;
  source_since_us_ = clock_.now_us();
  ask(next_);
}

void SnapshotFetch::ask(uint64_t first) {
  const raft::LogPosition which = under_way();
  asked_to_ = first + kSnapshotWindow;
  hooks_.post(
      *source_,
      encode_peer_message(SnapshotAsk{
          .index = which.index, .term = which.term, .first = first, .count = kSnapshotWindow}));
}

void SnapshotFetch::arm_timer() {
  if (timer_ != 0) return;
  timer_ = clock_.at(clock_.now_us() + kSnapshotRetryUs, [this] {
    timer_ = 0;
    on_timer();
  });
}

void SnapshotFetch::on_timer() {
  if (!source_ || installing_) return;
  const uint64_t now_us = clock_.now_us();
  const bool waits_for_disk = end_ || waiting_.contains(next_);
  if (now_us - progress_us_ >= kSnapshotForgetUs && !waits_for_disk) {
    PROBE("snapshot_fetch: a source fell silent");
    give_up("nobody sends more of it");
    return;
  }
  if (now_us - progress_us_ >= kSnapshotRetryUs && !waits_for_disk) {
    PROBE("snapshot_fetch: chunks were asked for again");
    const uint64_t since_us = std::max(progress_us_, source_since_us_);
    const bool turns = now_us - since_us >= kSnapshotSourceUs && next_source();
    if (!turns) ask(next_);
  }
  arm_timer();
}

void SnapshotFetch::on_chunk(const Identity& from, const SnapshotChunk& chunk) {
  if (!source_ || installing_) return;
  if (!header_) {
    if (from != *source_ || chunk.number != 0 || chunk.head.empty()) return;
    auto header = decode_snapshot_head(chunk.head);
    if (!header || header->point.index != chunk.index || header->point.term != chunk.term) {
      give_up("its head does not read");
      return;
    }
    begin(*header);
    if (!header_) return;
  }
  if (chunk.index != header_->point.index || chunk.term != header_->point.term) return;
  if (chunk.number < next_ || chunk.number >= next_ + 2 * kSnapshotWindow) return;
  progress_us_ = clock_.now_us();
  if (chunk.last) {
    end_ = chunk.number;
  } else {
    waiting_.emplace(chunk.number, std::string(chunk.bytes));
  }
}

void SnapshotFetch::on_gone(const Identity& from, const SnapshotGone& gone) {
  if (!source_ || from != *source_ || installing_) return;
  if (gone.term == Term()) return;  // it takes one; the timer asks again
  const raft::LogPosition which = under_way();
  if (gone.index != which.index || gone.term != which.term) return;
  without_.insert(from);
  if (next_source()) return;
  PROBE("snapshot_fetch: the snapshot went away while it was fetched");
  drop_image();
  wanted_ = {.index = told_.index, .term = Term()};  // the newest will do
  go_on_at(told_by_);
}

void SnapshotFetch::begin(const storage::SnapshotHeader& received) {
  storage::SnapshotHeader header = received;
  header.cluster = storage_.recovered().owner.cluster;
  header.identity = storage_.recovered().owner.identity;
  if (header.point.index < wanted_.index) return;
  auto writer = storage_.write_received_snapshot(header);
  if (!writer) {
    give_up(writer.error().message);
    return;
  }
  writer_ = std::move(*writer);
  header_ = header;
  machine_ = core::Machine::make(machine_options_);
  image_ = machine_->read_image();
  logger_.info("snapshot_fetch_begun", {{"from", source_->to_string()},
                                        {"index", header.point.index},
                                        {"snapshot_revision", header.revision}});
}

// One chunk a turn is taken, however many came in it: loading one costs a few milliseconds.
void SnapshotFetch::consume() {
  if (!header_ || installing_ || !writer_ || !writer_->ready()) return;
  const auto found = waiting_.find(next_);
  if (found != waiting_.end()) {
    std::string bytes = std::move(found->second);
    waiting_.erase(found);
    ++next_;
    progress_us_ = clock_.now_us();
    if (auto taken = take(std::move(bytes)); !taken) {
      give_up(taken.error().message);
      return;
    }
    if (!end_ && next_ + kSnapshotWindow / 2 >= asked_to_) ask(asked_to_);
    if (!waiting_.empty()) clock_.post([] {});
  }
  if (end_ && next_ == *end_) complete();
}

Result<void> SnapshotFetch::take(std::string bytes) {
  TRY(image_->add(bytes));
  writer_->add(std::move(bytes));
  return {};
}

void SnapshotFetch::complete() {
  auto finished = image_->finish();
  image_.reset();
  if (!finished) {
    give_up(finished.error().message);
    return;
  }
  const core::Digests digests = machine_->digests();
  if (digests.index != header_->point.index || digests.revision != header_->revision ||
      digests.state != header_->state_digest || digests.chain != header_->chain_digest) {
    give_up("its image is not the state that its head tells");
    return;
  }
  install();
}

void SnapshotFetch::install() {
  const raft::SnapshotPoint point = header_->point;
  if (!hooks_.begin_install(point)) {
    PROBE("snapshot_fetch: the log was faster than the snapshot");
    give_up("it is no longer needed");
    return;
  }
  installing_ = true;
  writer_->finish([this, point, alive = std::weak_ptr<int>(alive_)](Result<void> done) {
    if (alive.expired()) return;
    installing_ = false;
    if (!done) {
      hooks_.install_failed();
      give_up(done.error().message);
      return;
    }
    logger_.info("snapshot_installed", {{"from", source_->to_string()},
                                        {"index", point.index},
                                        {"ms", (clock_.now_us() - began_us_) / 1000}});
    std::unique_ptr<core::Machine> machine = std::move(machine_);
    writer_.reset();
    source_.reset();
    drop_image();
    hooks_.installed(std::move(machine), point);
  });
}

void SnapshotFetch::turn_end() {
  if (header_ && !installing_ && (waiting_.contains(next_) || end_ == next_)) consume();
}

void SnapshotFetch::give_up(std::string_view why) {
  logger_.warn("snapshot_fetch_failed", {{"from", source_->to_string()}, {"why", why}});
  source_.reset();
  drop_image();
}

bool SnapshotFetch::stalled() const {
  return source_ && !installing_ && clock_.now_us() - progress_us_ >= kSnapshotGiveUpUs;
}

void SnapshotFetch::stop() {
  if (installing_ || !source_) return;
  source_.reset();
  drop_image();
}

void SnapshotFetch::drop_image() {
  image_.reset();
  if (machine_ != nullptr) hooks_.discard(std::move(machine_));
  writer_.reset();
  header_.reset();
  without_.clear();
  waiting_.clear();
  end_.reset();
  next_ = 0;
  asked_to_ = 0;
}

}  // namespace doozer::server
