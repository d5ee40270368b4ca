#include "door/doozer_door.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/probe.h"

namespace doozer::door {

DoozerDoor::DoozerDoor(Host& host, DoorEvents& events)
    : host_(host), events_(events), limits_(host.limits()), access_(host.secrets()) {}

DoozerDoor::~DoozerDoor() {
  if (writes_.live() > 0) host_.forget(static_cast<WriteCompletion&>(*this));
  if (reads_.live() > 0) host_.forget(static_cast<ReadCompletion&>(*this));
  end_of_input();
  Budget all(std::numeric_limits<int64_t>::max());
  give_up(all);
}

Result<size_t> DoozerDoor::receive(std::string_view bytes) {
  if (must_close_) return bytes.size();  // nothing of what follows an unknown write is looked at
  slice_ = Budget(kSliceSteps);
  const size_t body_max = wire::body_bytes_max(limits_.value_bytes_max);
  size_t taken = std::min(skip_, bytes.size());
  skip_ -= taken;
  while (!blocked()) {
    const std::string_view rest = bytes.substr(taken);
    TRY_ASSIGN(const size_t size, wire::frame_bytes(rest, body_max));
    if (size > kStrangerFrameBytesMax && !trusted()) {
      TRY_ASSIGN(const size_t refused, refuse_large(rest, size));
      if (refused == 0) break;
      taken += refused;
      continue;
    }
    if (size == 0 || size > rest.size()) break;
    const Result<wire::RequestView> request =
        wire::decode_request(rest.substr(wire::kHeadBytes, size - wire::kHeadBytes));
    if (!request) return fail(request.error());
    handle(*request);
    taken += size;
  }
  return taken;
}

/// Answers a frame of which so much has come that what is asked must be known; how many bytes that
/// takes off `bytes`, 0 if more must come first. Nobody is served with such a frame, so that its
/// bytes are not kept: thousands of clients that say nothing else would fill the memory.
Result<size_t> DoozerDoor::refuse_large(std::string_view bytes, size_t frame) {
  if (bytes.size() < kStrangerFrameBytesMax) return size_t{0};
  const wire::RequestView request = wire::decode_request_beginning(
      bytes.substr(wire::kHeadBytes, kStrangerFrameBytesMax - wire::kHeadBytes));
  PROBE("door: a large frame of a client that may not write");
  if (!request.verb) {
    return fail(Code::permission_denied,
                "a frame of " + std::to_string(frame) + " bytes before ACCESS, the limit is " +
                    std::to_string(kStrangerFrameBytesMax) + ", and no verb at its beginning");
  }
  answer_error(reply_to(request), {Code::permission_denied, {}});
  const size_t taken = std::min(frame, bytes.size());
  skip_ = frame - taken;
  return taken;
}

size_t DoozerDoor::frame_bytes(std::string_view bytes) const {
  return wire::frame_bytes(bytes, wire::body_bytes_max(limits_.value_bytes_max)).value_or(0);
}

bool DoozerDoor::blocked() const {
  if (must_close_) return false;
  return full() || outstanding() >= limits_.outstanding_max;
}

Reply DoozerDoor::reply_to(const wire::RequestView& request) {
  Reply reply;
  reply.has_tag = request.tag.has_value();
  reply.tag = request.tag.value_or(0);
  reply.extended = request.mode.has_value();
  reply.tell_more = (request.mode.value_or(0) & wire::kModeTellMore) != 0;
  reply.verb = static_cast<wire::Verb>(request.verb.value_or(0));
  return reply;
}

void DoozerDoor::handle(const wire::RequestView& request) {
  const Reply reply = reply_to(request);
  switch (reply.verb) {
    case wire::Verb::get:
    case wire::Verb::stat:
    case wire::Verb::getdir:
    case wire::Verb::walk:
    case wire::Verb::rev: return handle_read(reply, request);
    case wire::Verb::set:
    case wire::Verb::del:
    case wire::Verb::nop: return handle_write(reply, request);
    case wire::Verb::wait: return handle_wait(reply, request);
    case wire::Verb::self: return handle_self(reply);
    case wire::Verb::status: return handle_status(reply);
    case wire::Verb::access: return handle_access(reply, request);
  }
  answer_error(reply, {Code::unknown_verb, request.verb ? "verb " + std::to_string(*request.verb)
                                                        : std::string("the request has no verb")});
}

void DoozerDoor::handle_access(const Reply& reply, const wire::RequestView& request) {
  if (access_.grant(host_.secrets(), request.value.value_or(std::string_view()))) {
    return answer(reply, {});
  }
  answer_error(reply, {Code::permission_denied, {}});
}

void DoozerDoor::handle_self(const Reply& reply) {
  const std::string identity = host_.identity().to_string();
  wire::ResponseView response;
  response.value = identity;
  answer(reply, response);
}

void DoozerDoor::handle_status(const Reply& reply) {
  if (!access_.may_read()) return answer_error(reply, {Code::permission_denied, {}});
  const std::string status = host_.status();
  wire::ResponseView response;
  response.value = status;
  answer(reply, response);
}

/// True if the argument came; else answers MISSING_ARG.
bool DoozerDoor::require(const Reply& reply, bool there, std::string_view what) {
  if (there) return true;
  std::string message(wire::verb_name(static_cast<int32_t>(reply.verb)));
  message += ": ";
  message += what;
  message += " is missing";
  answer_error(reply, {Code::missing_argument, std::move(message)});
  return false;
}

void DoozerDoor::fill_extension(const Reply& reply, wire::ResponseView& response,
                                Identity& cluster) const {
  if (!reply.tell_more) return;
  cluster = host_.cluster();
  response.store_rev = host_.machine().revision().value();
  response.cluster = cluster.view();
}

void DoozerDoor::answer(const Reply& reply, wire::ResponseView response) {
  Identity cluster;
  if (reply.has_tag) response.tag = reply.tag;
  fill_extension(reply, response, cluster);
  wire::append_response(response, output_);
}

void DoozerDoor::answer_error(const Reply& reply, const Error& error) {
  const std::string detail = wire::err_detail_of(error);
  wire::ResponseView response;
  response.err_code = static_cast<int32_t>(wire::err_code_of(error.code));
  response.err_detail = detail;
  if (reply.extended) {
    response.outcome =
        error.code == Code::unknown_outcome ? wire::kOutcomeUnknown : wire::kOutcomeRefused;
  }
  answer(reply, response);
}

bool DoozerDoor::has_work() const {
  if (input_ended_ && (waits_.live() > 0 || reads_waiting_ > 0)) return true;
  if (full() || must_close_) return false;
  return !ready_.empty() || !listings_queue_.empty() || (!deferred_.empty() && asked_again_ == 0);
}

bool DoozerDoor::run(Budget& budget) {
  if (input_ended_ && !give_up(budget)) return true;
  while (!ready_.empty() && !full() && !must_close_) {
    const uint32_t id = ready_.front();
    ready_.pop_front();
    go_on(id);
    if (!budget.spend()) return has_work();
  }
  if (!run_listings(budget)) return has_work();
  ask_again(budget);
  return has_work();
}

void DoozerDoor::end_of_input() {
  if (input_ended_) return;
  input_ended_ = true;
  deferred_.clear();
  asked_again_ = 0;
  while (!continuations_.empty()) drop_continuation(continuations_.begin());
  Budget few(kSliceSteps);
  give_up(few);
}

// No new wait or read of the future comes once the input has ended, so one pass finds all.
bool DoozerDoor::give_up(Budget& budget) {
  CHECK(input_ended_);
  core::Watches& watches = host_.machine().watches();
  constexpr int64_t kStepsToCancel = 4;
  while (!waits_given_up_) {
    if (waits_.live() == 0) {
      waits_given_up_ = true;
      given_up_ = 0;
      break;
    }
    if (budget.empty()) return false;
    const std::optional<uint32_t> id = waits_.first_from(given_up_);
    CHECK(id.has_value());
    watches.cancel(end_wait(*id).watch);
    given_up_ = *id + 1;
    budget.spend(kStepsToCancel);
  }
  while (reads_waiting_ > 0) {
    if (budget.empty()) return false;
    const std::optional<uint32_t> id = reads_.first_from(given_up_);
    CHECK(id.has_value());
    given_up_ = *id + 1;
    budget.spend(kStepsToCancel);
    if (reads_.at(*id).state != ParkedRead::State::waiting) continue;
    end_waiting(reads_.at(*id));
    watches.cancel(reads_.take(*id).watch);
  }
  return true;
}

bool DoozerDoor::finished() const {
  return input_ended_ && writes_.live() == 0 && reads_.live() == 0 && waits_.live() == 0;
}

std::unique_ptr<Door> make_doozer_door(Host& host, DoorEvents& events) {
  return std::make_unique<DoozerDoor>(host, events);
}

}  // namespace doozer::door
