// GET, STAT, REV, GETDIR and WALK: arguments, then a majority (linearizable), then the revision,
// then the answer. How GETDIR and WALK answer is in doozer_listings.cc.

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "door/doozer_door.h"
#include "door/doozer_read_parts.h"

namespace doozer::door {
namespace {

constexpr uint64_t cookie_of_read(uint32_t id) { return uint64_t{id} * 2 + 1; }

int32_t clamp_len(uint64_t value) {
  return static_cast<int32_t>(std::min<uint64_t>(value, std::numeric_limits<int32_t>::max()));
}

}  // namespace

void DoozerDoor::handle_read(const Reply& reply, const wire::RequestView& request) {
  Read read;
  read.reply = reply;
  read.path = request.path.value_or(std::string_view());
  read.rev = request.rev;
  read.min_rev = request.min_rev.value_or(0);
  read.offset = request.offset.value_or(0);
  // The state at a given revision is the same everywhere: a majority could add nothing.
  read.linearizable =
      (request.mode.value_or(0) & wire::kModeLinearizable) != 0 && !request.rev.has_value();
  if (reply.verb == wire::Verb::rev) {
    read.rev.reset();
    read.linearizable = (request.mode.value_or(0) & wire::kModeLinearizable) != 0;
    return begin_read(read);
  }
  if (!access_.may_read()) return answer_error(reply, {Code::permission_denied, {}});
  const bool listing = reply.verb == wire::Verb::getdir || reply.verb == wire::Verb::walk;
  if (reply.verb != wire::Verb::stat && !require(reply, request.path.has_value(), "path")) return;
  if (listing && !require(reply, request.offset.has_value(), "offset")) return;
  if (reply.verb == wire::Verb::walk) {
    read.glob = compile(reply, read.path);
    if (!read.glob) return;
    if (read.offset < 0) {
      return answer_error(
          reply, {Code::range, "WALK: offset " + std::to_string(read.offset) + " is negative"});
    }
  }
  begin_read(read);
}

/// Null after having answered that the pattern is bad.
std::shared_ptr<const core::Glob> DoozerDoor::compile(const Reply& reply,
                                                      std::string_view pattern) {
  if (last_glob_ && last_glob_->pattern() == pattern) return last_glob_;
  if (auto known = listings_.glob(pattern)) return known;
  Result<core::Glob> glob = core::Glob::compile(pattern);
  if (!glob) {
    answer_error(reply, glob.error());
    return nullptr;
  }
  last_glob_ = std::make_shared<const core::Glob>(*std::move(glob));
  return last_glob_;
}

void DoozerDoor::begin_read(const Read& read) {
  if (read.linearizable) {
    const uint32_t id = park(read, ParkedRead::State::asking);
    host_.read_index(*this, id);
    return;
  }
  Revision until;
  switch (pass_revision(read, until)) {
    case Gate::failed: return;
    case Gate::later: {
      if (!admit_wait(read.reply, bytes_of(read))) return;
      const uint32_t id = park(read, ParkedRead::State::waiting);
      wait_for_revision(reads_.at(id), id, until);
      return;
    }
    case Gate::open: break;
  }
  if (!read.glob && read.reply.verb != wire::Verb::getdir) return answer_read(read);
  // Listings of a connection are answered in the order asked: they share cursors.
  if (listings_queue_.empty() && !slice_.empty() && answer_listing(read, slice_)) return;
  listings_queue_.push_back(park(read, ParkedRead::State::listing));
}

/// open: the machine holds what is asked. later: it will at `until`. failed: answered TOO_LATE.
DoozerDoor::Gate DoozerDoor::pass_revision(const Read& read, Revision& until) {
  if (!read.rev && read.min_rev <= 0) return Gate::open;
  const core::Machine& machine = host_.machine();
  until = Revision(read.min_rev);
  if (const std::optional<Revision> at = at_of(read)) {
    if (auto kept = machine.check_kept(*at); !kept) {
      answer_error(read.reply, kept.error());
      return Gate::failed;
    }
    until = std::max(until, *at);
  }
  return until > machine.revision() ? Gate::later : Gate::open;
}

void DoozerDoor::wait_for_revision(ParkedRead& parked, uint32_t id, Revision until) {
  parked.state = ParkedRead::State::waiting;
  ++reads_waiting_;
  hold(bytes_of(parked.read));
  parked.watch = host_.machine().watches().wait_revision(until, *this, cookie_of_read(id));
}

uint32_t DoozerDoor::park(const Read& read, ParkedRead::State state) {
  ParkedRead parked;
  parked.state = state;
  parked.read = read;
  parked.path = read.path;
  return reads_.put(std::move(parked));
}

/// The parked read with its view pointing to where its path now lies.
const Read& DoozerDoor::view(ParkedRead& parked) {
  parked.read.path = parked.path;
  return parked.read;
}

void DoozerDoor::on_readable(uint64_t cookie, const Result<void>& outcome) {
  const auto id = static_cast<uint32_t>(cookie);
  CHECK(reads_.at(id).state == ParkedRead::State::asking);
  if (outcome) {
    resume_read(id);
    return;
  }
  answer_error(reads_.take(id).read.reply, outcome.error());
  events_.on_output();
}

/// A gate has opened, from within a call of the host or of the watches.
void DoozerDoor::resume_read(uint32_t id) {
  if (full()) {
    PROBE("door: a read became ready while there was no room");
    reads_.at(id).state = ParkedRead::State::ready;
    ready_.push_back(id);
  } else {
    go_on(id);
  }
  events_.on_output();
}

void DoozerDoor::go_on(uint32_t id) {
  ParkedRead& parked = reads_.at(id);
  const Read& read = view(parked);
  Revision until;
  switch (pass_revision(read, until)) {
    case Gate::failed: reads_.take(id); return;
    case Gate::later:
      if (input_ended_ || !admit_wait(read.reply, bytes_of(read))) {
        reads_.take(id);
        return;
      }
      wait_for_revision(parked, id, until);
      return;
    case Gate::open: break;
  }
  if (read.glob || read.reply.verb == wire::Verb::getdir) {
    parked.state = ParkedRead::State::listing;
    listings_queue_.push_back(id);
    return;
  }
  answer_read(read);
  reads_.take(id);
}

void DoozerDoor::answer_read(const Read& read) {
  if (read.reply.verb == wire::Verb::get) return answer_get(read);
  if (read.reply.verb == wire::Verb::stat) return answer_stat(read);
  wire::ResponseView response;
  response.rev = host_.machine().revision().value();
  answer(read.reply, response);
}

void DoozerDoor::answer_get(const Read& read) {
  if (!is_rooted(read.path)) return answer_error(read.reply, not_rooted(read.path));
  const core::Found found = find(host_.machine(), read);
  if (found.kind == core::Found::Kind::directory) {
    return answer_error(read.reply,
                        {Code::is_directory, "path " + quote(read.path) + " is a directory"});
  }
  wire::ResponseView response;
  response.rev = found.file.revision.value();  // a missing one has revision 0 and no bytes
  response.value = found.file.value;
  answer(read.reply, response);
}

void DoozerDoor::answer_stat(const Read& read) {
  constexpr int64_t kDirectoryRev = -2;
  const core::Found found = find(host_.machine(), read);
  wire::ResponseView response;
  switch (found.kind) {
    case core::Found::Kind::missing:
      response.rev = 0;
      response.len = 0;
      break;
    case core::Found::Kind::file:
      response.rev = found.file.revision.value();
      response.len = clamp_len(found.file.value.size());
      break;
    case core::Found::Kind::directory:
      response.rev = kDirectoryRev;
      response.len = clamp_len(found.entries);
      break;
  }
  answer(read.reply, response);
}

}  // namespace doozer::door
