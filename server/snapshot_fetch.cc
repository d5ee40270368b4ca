#include "server/snapshot_fetch.h"

#include <utility>

#include "base/probe.h"

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
  if (source_) {
    // A newer one is wanted only if what is being fetched would not do.
    const bool silent = clock_.now_us() - progress_us_ >= kSnapshotRetryUs;
    if (header_ && header_->point.index >= point.index) {
      if (*source_ != from && silent && !end_) {
        PROBE("snapshot_fetch: another source went on");
        source_ = from;
        progress_us_ = clock_.now_us();
        ask(next_);
      }
      return;
    }
    if (!header_ && wanted_ == point && (*source_ == from || !silent)) return;
  }
  if (!source_) began_us_ = clock_.now_us();
  source_ = from;
  wanted_ = point;
  drop_image();
  progress_us_ = clock_.now_us();
  ask(0);
  arm_timer();
}

void SnapshotFetch::ask(uint64_t first) {
  const raft::LogPosition which =
      header_ ? raft::LogPosition{.index = header_->point.index, .term = header_->point.term}
              : wanted_;
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
  const uint64_t idle = clock_.now_us() - progress_us_;
  if (idle >= kSnapshotGiveUpUs) {
    PROBE("snapshot_fetch: a source fell silent");
    give_up("the source is silent");
    return;
  }
  if (idle >= kSnapshotRetryUs && !end_ && !waiting_.contains(next_)) {
    PROBE("snapshot_fetch: chunks were asked for again");
    ask(next_);
  }
  arm_timer();
}

void SnapshotFetch::on_chunk(const Identity& from, const SnapshotChunk& chunk) {
  if (!source_ || from != *source_ || installing_) return;
  if (!header_) {
    if (chunk.number != 0 || chunk.head.empty()) return;
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
  if (header_ && (gone.index != header_->point.index || gone.term != header_->point.term)) return;
  PROBE("snapshot_fetch: the snapshot went away while it was fetched");
  drop_image();
  wanted_.term = Term();  // the newest will do
  ask(0);
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
  waiting_.clear();
  end_.reset();
  next_ = 0;
  asked_to_ = 0;
}

}  // namespace doozer::server
