// SET, DEL and NOP. Everything that needs no state is checked before the host is asked; what does
// need it is decided where the command is applied.

#include "base/probe.h"
#include "core/path.h"
#include "door/doozer_door.h"

namespace doozer::door {
namespace {

Error given_to_no_log(Error why) {
  why.message += "; the write was given to no log";
  return why;
}

}  // namespace

void DoozerDoor::handle_write(const Reply& reply, const wire::RequestView& request) {
  const auto refuse = [&](const Error& error) { answer_error(reply, error); };
  if (!access_.may_write()) return refuse({Code::permission_denied, {}});
  if (!host_.writable()) return refuse(given_to_no_log(host_.why_read_only()));
  const bool nop = reply.verb == wire::Verb::nop;
  const std::string_view path = request.path.value_or(std::string_view());
  const std::string_view value = request.value.value_or(std::string_view());
  if (!nop) {
    if (!require(reply, request.path.has_value(), "path")) return;
    if (!require(reply, request.rev.has_value(), "rev")) return;
    if (path != "/") {
      // The root is a directory; what comes of writing it depends on rev as for any other.
      if (!core::is_file_path(path)) return refuse(core::check_path(path).error());
    }
    if (reply.verb == wire::Verb::set && value.size() > limits_.value_bytes_max) {
      return refuse({Code::too_large, "value of " + std::to_string(value.size()) +
                                          " bytes, the limit is " +
                                          std::to_string(limits_.value_bytes_max)});
    }
  }
  if (write_unknown_) {
    return refuse({Code::refused,
                   "the outcome of an earlier write of this connection is unknown; no later one is "
                   "taken here"});
  }

  const int64_t rev = request.rev.value_or(0);
  core::BodyView body = core::NopView{};
  if (reply.verb == wire::Verb::set) body = core::SetView{path, rev, value};
  if (reply.verb == wire::Verb::del) body = core::DelView{path, rev};
  host_.submit(body, *this, writes_.put(reply));
}

void DoozerDoor::on_written(uint64_t cookie, const WriteOutcome& outcome) {
  const Reply reply = writes_.take(cookie);
  switch (outcome.kind) {
    case WriteOutcome::Kind::applied:
      if (outcome.applied.refused) {
        answer_error(reply, *outcome.applied.refused);
      } else {
        wire::ResponseView response;
        if (reply.verb == wire::Verb::set) response.rev = outcome.applied.revision.value();
        answer(reply, response);
      }
      break;
    case WriteOutcome::Kind::read_only:
      answer_error(reply, given_to_no_log(host_.why_read_only()));
      break;
    case WriteOutcome::Kind::refused: answer_error(reply, outcome.error); break;
    case WriteOutcome::Kind::unknown: answer_unknown(reply); break;
  }
  events_.on_output();
}

void DoozerDoor::answer_unknown(const Reply& reply) {
  write_unknown_ = true;
  if (!reply.extended) {
    // The only "unknown" that such a client understands.
    PROBE("door: closed for an unknown write");
    must_close_ = true;
    return;
  }
  answer_error(reply, {Code::unknown_outcome, "the write may have happened, or may happen yet"});
}

}  // namespace doozer::door
