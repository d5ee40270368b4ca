// GET, STAT, REV, GETDIR and WALK: arguments, then a majority (linearizable), then the revision,
// then the answer.

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "door/doozer_door.h"

namespace doozer::door {
namespace {

constexpr uint64_t cookie_of_read(uint32_t id) { return uint64_t{id} * 2 + 1; }

int32_t clamp_len(uint64_t value) {
  return static_cast<int32_t>(std::min<uint64_t>(value, std::numeric_limits<int32_t>::max()));
}

std::optional<Revision> at_of(const Read& read) {
  if (!read.rev) return std::nullopt;
  return Revision(std::max<int64_t>(*read.rev, 1));
}

/// GET and GETDIR tell a path that cannot even begin to be one; any other is merely missing.
bool is_rooted(std::string_view path) { return !path.empty() && path.front() == '/'; }

Error not_rooted(std::string_view path) {
  return {Code::bad_path, "path " + quote(path) + ": does not begin with \"/\""};
}

/// Over-long paths are not looked up, only missing.
core::Found find(const core::Machine& machine, const Read& read) {
  if (read.path.size() > kPathBytesMax || !is_rooted(read.path)) return {};
  return machine.find(read.path, at_of(read));
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
      if (!admit_wait(read.reply)) return;
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
      if (input_ended_ || !admit_wait(read.reply)) {
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

/// False: the budget is used up and the listing goes on later.
bool DoozerDoor::answer_listing(const Read& read, Budget& budget) {
  return read.glob ? answer_walk(read, budget) : answer_getdir(read, budget);
}

bool DoozerDoor::answer_getdir(const Read& read, Budget& budget) {
  if (!is_rooted(read.path)) {
    answer_error(read.reply, not_rooted(read.path));
    return true;
  }
  const core::Machine& machine = host_.machine();
  const std::optional<Revision> at = at_of(read);
  // What was a directory at an old revision stays one: it need not be looked up for each entry.
  if (!at || !listings_.knows_directory(read.path, *at)) {
    const core::Found found = find(machine, read);
    if (found.kind == core::Found::Kind::missing) {
      answer_error(read.reply,
                   {Code::not_found, "directory " + quote(read.path) + " does not exist"});
      return true;
    }
    if (found.kind == core::Found::Kind::file) {
      answer_error(read.reply, {Code::not_directory, "path " + quote(read.path) + " is a file"});
      return true;
    }
  }
  if (read.offset < 0) {
    answer_error(read.reply,
                 {Code::range, "GETDIR: offset " + std::to_string(read.offset) + " is negative"});
    return true;
  }
  std::string_view name;
  const core::Seek seek =
      listings_.list(machine, read.path, at, static_cast<uint64_t>(read.offset), budget, name);
  if (seek != core::Seek::found) return end_listing(read, seek, "directory ");
  wire::ResponseView response;
  response.path = name;
  answer(read.reply, response);
  return true;
}

bool DoozerDoor::answer_walk(const Read& read, Budget& budget) {
  core::FileView file;
  const core::Seek seek = listings_.walk(host_.machine(), read.glob, at_of(read),
                                         static_cast<uint64_t>(read.offset), budget, file);
  if (seek != core::Seek::found) return end_listing(read, seek, "files that match ");
  wire::ResponseView response;
  response.flags = wire::kFlagSet;
  response.rev = file.revision.value();
  response.path = file.path;
  response.value = file.value;
  answer(read.reply, response);
  return true;
}

/// Nothing was found at the offset. False if it is too early to say so.
bool DoozerDoor::end_listing(const Read& read, core::Seek seek, std::string_view what) {
  if (seek == core::Seek::more) return false;
  if (seek == core::Seek::too_late) {
    const auto kept = host_.machine().check_kept(at_of(read).value_or(Revision(1)));
    answer_error(read.reply,
                 kept ? Error{Code::too_late, "the listing has left the history"} : kept.error());
    return true;
  }
  std::string message = "offset " + std::to_string(read.offset) + " is past the end of ";
  message += what;
  message += quote(read.path);
  answer_error(read.reply, {Code::range, std::move(message)});
  return true;
}

/// False when the budget is used up.
bool DoozerDoor::run_listings(Budget& budget) {
  while (!listings_queue_.empty() && !full() && !must_close_) {
    const uint32_t id = listings_queue_.front();
    const Read& read = view(reads_.at(id));
    const bool answered = answer_listing(read, budget);
    if (!answered) {
      PROBE("door: a listing goes on in a later slice");
      return false;
    }
    listings_queue_.pop_front();
    reads_.take(id);
    if (!budget.spend()) return false;
  }
  return true;
}

}  // namespace doozer::door
