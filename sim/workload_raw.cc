#include "sim/workload_raw.h"

#include <utility>

#include "base/check.h"
#include "base/limits.h"

namespace doozer::sim::workload {
namespace {

wire::Verb verb_of(Action kind) {
  switch (kind) {
    case Action::set: return wire::Verb::set;
    case Action::del: return wire::Verb::del;
    case Action::nop: return wire::Verb::nop;
    case Action::get: return wire::Verb::get;
    case Action::stat: return wire::Verb::stat;
    case Action::walk: return wire::Verb::walk;
    case Action::getdir: return wire::Verb::getdir;
    case Action::rev: return wire::Verb::rev;
  }
  UNREACHABLE();
}

/// Views into `request`.
wire::RequestView encode(const Request& request) {
  const Op& op = request.op;
  wire::RequestView view;
  view.verb = static_cast<int32_t>(verb_of(op.kind));
  if (op.kind != Action::nop && op.kind != Action::rev) view.path = op.path;
  if (op.kind == Action::set) view.value = request.value;
  if (op.kind == Action::walk || op.kind == Action::getdir) {
    view.offset = static_cast<int32_t>(op.offset);
  }
  if (op.kind == Action::set || op.kind == Action::del) view.rev = op.cas;
  if (!is_write(op.kind) && op.at_rev != 0) view.rev = op.at_rev;
  if (!is_write(op.kind) && op.min_rev != 0) view.min_rev = op.min_rev;
  view.mode = wire::kModeTellMore | (op.linearizable ? wire::kModeLinearizable : 0);
  return view;
}

void decode(const wire::ResponseView& answer, Op& op) {
  op.store_rev = answer.store_rev.value_or(0);
  if (answer.err_code) {
    op.code = wire::error_of(answer).code;
    return;
  }
  const int64_t rev = answer.rev.value_or(0);
  const std::string value = value_tag(answer.value.value_or(""));
  switch (op.kind) {
    case Action::get: op.value = value; [[fallthrough]];
    case Action::set:
    case Action::rev: op.revision = rev; break;
    case Action::stat:
      op.revision = rev;
      op.length = static_cast<uint64_t>(answer.len.value_or(0));
      break;
    case Action::walk:
      op.listed = {
          {.name = std::string(answer.path.value_or("")), .revision = rev, .value = value}};
      break;
    case Action::getdir: op.listed = {{.name = std::string(answer.path.value_or(""))}}; break;
    case Action::del:
    case Action::nop: break;
  }
}

}  // namespace

// --- RawLink

RawLink::RawLink(env::Net& net, std::string address, RawLinkEvents& events)
    : address_(std::move(address)), events_(events) {
  env::DialOptions options;
  options.address = address_;
  stream_ = net.dial(options, *this);
}

int32_t RawLink::send(wire::RequestView request) {
  request.tag = ++tag_;
  std::string frame;
  wire::append_request(request, frame);
  stream_->write(std::move(frame));
  return tag_;
}

void RawLink::on_connected() {
  up_ = true;
  events_.on_up();
}

void RawLink::on_bytes(std::string_view bytes) {
  in_ += bytes;
  const std::shared_ptr<bool> alive = alive_;
  size_t taken = 0;
  while (*alive) {
    const std::string_view rest = std::string_view(in_).substr(taken);
    const auto size = wire::frame_bytes(rest, kCommandBytesMax);
    if (!size) return down();
    if (*size == 0 || rest.size() < *size) break;
    const auto answer =
        wire::decode_response(rest.substr(wire::kHeadBytes, *size - wire::kHeadBytes));
    if (!answer) return down();
    taken += *size;
    events_.on_answer(*answer);
  }
  if (*alive) in_.erase(0, taken);
}

void RawLink::down() { events_.on_down(); }

// --- RawAccess

RawAccess::RawAccess(Shared& shared, const ClientHost& host, uint64_t client, Rng rng,
                     std::optional<std::string> pinned, uint64_t give_up_us)
    : shared_(shared),
      host_(host),
      client_(client),
      rng_(rng),
      pinned_(std::move(pinned)),
      give_up_us_(give_up_us) {}

void RawAccess::perform(Request request, Done done) {
  Op op = request.op;
  op.client = client_;
  op.invoked_us = host_.clock->now_us();
  if (op.kind == Action::set) {
    op.value = value_tag(request.value);
    op.length = request.value.size();
  }
  const size_t id = shared_.history.ops.size();
  shared_.history.ops.push_back(std::move(op));
  Pending pending{.id = id, .request = std::move(request), .done = std::move(done)};
  if (link_ == nullptr) connect();
  if (link_->up()) {
    send(std::move(pending));
  } else {
    unsent_.push_back(std::move(pending));
  }
  shared_.after(host_, give_up_us_, [this, id] {
    if (shared_.op(id).outcome == Outcome::open) give_up(id);
  });
}

/// Whoever reads all the time is owed an answer: done, refused or unknown.
void RawAccess::give_up(size_t id) {
  for (const auto& [tag, pending] : sent_) {
    if (pending.id != id || pending.sent_us <= resumed_us_) continue;
    shared_.unanswered.push_back(
        {.op = id, .server = link_->address(), .client = client_, .sent_us = pending.sent_us});
  }
  break_off();
}

void RawAccess::connect() {
  const std::string address =
      pinned_ ? *pinned_ : shared_.servers[rng_.below(shared_.servers.size())];
  session_ = ++shared_.sessions;
  link_ = std::make_unique<RawLink>(*host_.net, address, *this);
}

void RawAccess::leave() {
  CHECK(sent_.empty() && unsent_.empty());
  link_.reset();
}

void RawAccess::pause_reading() {
  resumed_us_ = kNever;
  if (link_ != nullptr) link_->pause_reading();
}

void RawAccess::resume_reading() {
  resumed_us_ = host_.clock->now_us();
  if (link_ != nullptr) link_->resume_reading();
}

void RawAccess::on_up() {
  std::vector<Pending> unsent = std::exchange(unsent_, {});
  for (Pending& pending : unsent) send(std::move(pending));
}

void RawAccess::send(Pending pending) {
  Op& op = shared_.op(pending.id);
  pending.sent_us = host_.clock->now_us();
  op.session = session_;
  op.server = link_->address();
  const int32_t tag = link_->send(encode(pending.request));
  pending.request.value.clear();
  sent_.emplace(tag, std::move(pending));
}

void RawAccess::on_answer(const wire::ResponseView& answer) {
  const auto found = sent_.find(answer.tag.value_or(0));
  if (found == sent_.end()) return;
  Pending pending = std::move(found->second);
  sent_.erase(found);
  if (shared_.is_foreign(answer)) {
    // Nothing happened in our cluster, whatever that server says.
    break_off();
    return finish(std::move(pending), Outcome::failed);
  }
  Op& op = shared_.op(pending.id);
  decode(answer, op);
  if (!answer.err_code) return finish(std::move(pending), Outcome::ok);
  const bool unknown = is_write(op.kind) && answer.outcome.value_or(0) == wire::kOutcomeUnknown;
  // Such a connection takes no further write.
  if (unknown) break_off();
  finish(std::move(pending), unknown ? Outcome::unknown : Outcome::refused);
}

void RawAccess::break_off() {
  link_.reset();
  std::vector<Pending> unsent = std::exchange(unsent_, {});
  std::map<int32_t, Pending> sent = std::exchange(sent_, {});
  for (Pending& pending : unsent) finish(std::move(pending), Outcome::failed);
  for (auto& [tag, pending] : sent) {
    const bool write = is_write(shared_.op(pending.id).kind);
    finish(std::move(pending), write ? Outcome::unknown : Outcome::failed);
  }
}

void RawAccess::finish(Pending pending, Outcome outcome) {
  shared_.complete(pending.id, host_, outcome);
  // A copy: the callback may begin another operation, which moves the history's.
  const Op op = shared_.op(pending.id);
  pending.done(op);
}

}  // namespace doozer::sim::workload
