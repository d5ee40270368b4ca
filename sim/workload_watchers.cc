#include "sim/workload_watchers.h"

#include <utility>

#include "base/check.h"

namespace doozer::sim::workload {
namespace {

constexpr uint64_t kMoveUsMin = 2'000'000;  // between two changes of the server
constexpr uint64_t kMoveUsMax = 10'000'000;
constexpr uint64_t kPauseUsMax = 1'500'000;
constexpr size_t kCrowdReads = 40;
constexpr uint64_t kRetryUsMax = 200'000;

WatchNote::Change change_of(int32_t flags) {
  if (flags == wire::kFlagSet) return WatchNote::Change::set;
  return flags == wire::kFlagDel ? WatchNote::Change::del : WatchNote::Change::nop;
}

}  // namespace

// --- WatchActor

void WatchActor::begin_stream(int64_t from) {
  CHECK(!stream_.has_value());
  stream_ = shared_.history.streams.size();
  position_ = {.revision = from, .sub = 0};
  shared_.history.streams.push_back({.client = client_, .glob = glob_, .from = from});
}

void WatchActor::note_event(const Event& event) {
  ++shared_.statistics.events;
  position_ = event.next();
  shared_.note(*stream_, {.kind = WatchNote::Kind::event,
                          .at_us = now_us(),
                          .revision = event.position.revision,
                          .sub = event.position.sub,
                          .change = change_of(static_cast<int32_t>(event.kind)),
                          .path = event.path,
                          .value = value_tag(event.value)});
}

void WatchActor::note(WatchNote::Kind kind, const std::string& server) {
  shared_.note(*stream_, {.kind = kind,
                          .at_us = now_us(),
                          .revision = position_.revision,
                          .sub = position_.sub,
                          .server = server});
}

// --- LibraryWatchActor

LibraryWatchActor::LibraryWatchActor(Shared& shared, const ClientHost& host, uint64_t client,
                                     std::string glob, int64_t from,
                                     std::vector<std::string> servers, bool lively)
    : WatchActor(shared, host, client, std::move(glob)),
      from_(from),
      servers_(std::move(servers)),
      lively_(lively),
      access_(std::make_unique<LibraryAccess>(shared_, host_, client_, rng_.next(), servers_)) {}

LibraryWatchActor::~LibraryWatchActor() {
  if (watcher_ != nullptr) watcher_->cancel();
}

void LibraryWatchActor::start() {
  if (from_ > 0) begin_stream(from_);
  watch();
  if (lively_) move_on();
}

void LibraryWatchActor::watch() {
  ++watches_;
  watcher_ = access_->core().watch(glob_, position_,
                                   [this](Result<Event> event) { take(std::move(event)); });
  if (!stream()) {
    watcher_->on_beginning([this](Position from) { begin_stream(from.revision); });
  }
}

void LibraryWatchActor::take(Result<Event> event) {
  if (event) {
    note_event(*event);
    if (lively_ && rng_.chance(1, 200)) pause_for_a_while();
    return;
  }
  // This was the watcher's last call.
  const bool lost = event.error().code == Code::too_late;
  shared_.after(host_, 1 + rng_.below(kRetryUsMax), [this, lost, number = watches_] {
    if (number != watches_) return;  // move_on() was faster
    if (lost && stream()) return skip();
    if (stream()) note(WatchNote::Kind::resumed);
    watch();
  });
}

void LibraryWatchActor::skip() {
  access_->core().rev({.local = true}, [this, number = watches_](Result<int64_t> revision) {
    if (number != watches_) return;
    if (revision) {
      position_ = {.revision = *revision + 1, .sub = 0};
      note(WatchNote::Kind::gap);
    }
    watch();
  });
}

void LibraryWatchActor::pause_for_a_while() {
  watcher_->pause();
  shared_.after(host_, 1 + rng_.below(kPauseUsMax), [this] { watcher_->resume(); });
}

/// Another life of the client, which knows nothing but where it was.
void LibraryWatchActor::move_on() {
  const auto us = static_cast<uint64_t>(rng_.between(kMoveUsMin, kMoveUsMax));
  shared_.after(host_, us, [this] {
    if (shared_.stopped) return;
    if (stream()) {
      watcher_->cancel();
      access_ = std::make_unique<LibraryAccess>(shared_, host_, client_, rng_.next(), servers_);
      note(WatchNote::Kind::resumed);
      watch();
    }
    move_on();
  });
}

// --- RawWatchActor

RawWatchActor::RawWatchActor(Shared& shared, const ClientHost& host, uint64_t client,
                             std::string glob)
    : WatchActor(shared, host, client, std::move(glob)) {}

void RawWatchActor::start() {
  begin_stream(1);
  connect();
}

void RawWatchActor::connect_later() {
  link_.reset();
  shared_.after(host_, 1 + rng_.below(kRetryUsMax), [this] {
    if (link_ == nullptr) connect();
  });
}

void RawWatchActor::connect() {
  continued_ = false;
  const uint64_t number = ++links_;
  link_ = std::make_unique<RawLink>(*host_.net, shared_.servers[rng_.below(shared_.servers.size())],
                                    *this);
  note(WatchNote::Kind::resumed, link_->address());
  // Also how it leaves a server that has gone silent.
  shared_.after(host_, static_cast<uint64_t>(rng_.between(kMoveUsMin, kMoveUsMax)), [this, number] {
    if (number == links_ && link_ != nullptr) connect_later();
  });
}

void RawWatchActor::on_up() { ask(); }

void RawWatchActor::ask() {
  wire::RequestView request;
  request.mode = wire::kModeTellMore;
  if (learning_) {
    request.verb = static_cast<int32_t>(wire::Verb::rev);
  } else {
    request.verb = static_cast<int32_t>(wire::Verb::wait);
    request.path = glob_;
    request.rev = position_.revision + (continued_ ? 1 : 0);
    if (position_.sub > 0 && !continued_) request.offset = static_cast<int32_t>(position_.sub);
  }
  asked_ = link_->send(request);
}

/// A file of its own, many times over, and nothing is read for a while. (Nobody else writes it, and
/// nobody judges it.)
void RawWatchActor::crowd() {
  const std::string path = "/crowd/" + std::to_string(client_);
  const std::string value(shared_.options.large_bytes, '.');
  wire::RequestView write;
  write.verb = static_cast<int32_t>(wire::Verb::set);
  write.path = path;
  write.value = value;
  write.rev = INT64_MAX;
  link_->send(write);
  wire::RequestView read;
  read.verb = static_cast<int32_t>(wire::Verb::get);
  read.path = path;
  read.mode = wire::kModeLinearizable;
  for (size_t i = 0; i < kCrowdReads; ++i) link_->send(read);
  link_->pause_reading();
  shared_.after(host_, 1 + rng_.below(kPauseUsMax), [this, number = links_] {
    if (number == links_ && link_ != nullptr) link_->resume_reading();
  });
}

void RawWatchActor::on_answer(const wire::ResponseView& answer) {
  if (shared_.is_foreign(answer)) return connect_later();
  if (answer.tag.value_or(0) != asked_) return;
  if (answer.err_code) {
    if (wire::error_of(answer).code != Code::too_late) return connect_later();
    learning_ = true;
  } else if (learning_) {
    learning_ = false;
    continued_ = false;  // what the lost revision had more of is lost as well
    position_ = {.revision = answer.rev.value_or(0) + 1, .sub = 0};
    note(WatchNote::Kind::gap);
  } else {
    take_event(answer);
  }
  ask();
  if (!shared_.stopped && rng_.chance(1, 150)) crowd();
}

void RawWatchActor::take_event(const wire::ResponseView& answer) {
  const int64_t revision = answer.rev.value_or(0);
  Event event;
  event.kind = static_cast<Event::Kind>(answer.flags.value_or(0));
  event.path = answer.path.value_or("");
  event.value = answer.value.value_or("");
  event.more = answer.len.value_or(0);
  event.position = {.revision = revision,
                    .sub = revision == position_.revision ? position_.sub : 0};
  continued_ = event.more > 0;
  note_event(event);
}

}  // namespace doozer::sim::workload
