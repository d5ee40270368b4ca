#include "client/codec.h"

#include "base/check.h"
#include "client/limits.h"
#include "wire/doozer.h"

namespace doozer::client {
namespace {

wire::Verb to_wire(Verb verb) {
  switch (verb) {
    case Verb::get: return wire::Verb::get;
    case Verb::set: return wire::Verb::set;
    case Verb::del: return wire::Verb::del;
    case Verb::rev: return wire::Verb::rev;
    case Verb::wait: return wire::Verb::wait;
    case Verb::nop: return wire::Verb::nop;
    case Verb::walk: return wire::Verb::walk;
    case Verb::getdir: return wire::Verb::getdir;
    case Verb::stat: return wire::Verb::stat;
    case Verb::self: return wire::Verb::self;
    case Verb::status: return wire::Verb::status;
    case Verb::access: return wire::Verb::access;
  }
  UNREACHABLE();
}

/// The original's clients send a path only with these, and a value only with SET and ACCESS.
bool has_path(Verb verb) {
  return verb != Verb::rev && verb != Verb::nop && verb != Verb::self && verb != Verb::status &&
         verb != Verb::access;
}

}  // namespace

std::string_view verb_name(Verb verb) {
  switch (verb) {
    case Verb::get: return "get";
    case Verb::set: return "set";
    case Verb::del: return "del";
    case Verb::rev: return "rev";
    case Verb::wait: return "wait";
    case Verb::nop: return "nop";
    case Verb::walk: return "walk";
    case Verb::getdir: return "ls";
    case Verb::stat: return "stat";
    case Verb::self: return "self";
    case Verb::status: return "status";
    case Verb::access: return "access";
  }
  UNREACHABLE();
}

void encode_call(const Call& call, const Stamp& stamp, std::string& out) {
  wire::RequestView request;
  request.tag = stamp.tag;
  request.verb = static_cast<int32_t>(to_wire(call.verb));
  if (has_path(call.verb)) request.path = call.path;
  if (call.verb == Verb::set || call.verb == Verb::access) request.value = call.value;
  request.offset = call.offset;
  request.rev = call.rev;
  if (stamp.extensions) {
    request.mode = wire::kModeTellMore | (stamp.linearizable ? wire::kModeLinearizable : 0);
    if (stamp.min_rev > 0) request.min_rev = stamp.min_rev;
  }
  wire::append_request(request, out);
}

Result<AnswerView> decode_answer(std::string_view bytes, size_t& size) {
  size = 0;
  TRY_ASSIGN(const size_t whole, wire::frame_bytes(bytes, kAnswerBytesMax));
  if (whole == 0 || bytes.size() < whole) return AnswerView{};
  TRY_ASSIGN(const wire::ResponseView response,
             wire::decode_response(bytes.substr(wire::kHeadBytes, whole - wire::kHeadBytes)));
  size = whole;
  AnswerView answer;
  answer.tag = response.tag.value_or(0);
  answer.flags = response.flags.value_or(0);
  answer.rev = response.rev.value_or(0);
  answer.len = response.len.value_or(0);
  answer.path = response.path.value_or(std::string_view());
  answer.value = response.value.value_or(std::string_view());
  answer.store_rev = response.store_rev.value_or(0);
  answer.cluster = response.cluster.value_or(std::string_view());
  if (response.err_code) answer.error = wire::error_of(response);
  return answer;
}

}  // namespace doozer::client
