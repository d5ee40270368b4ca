// How GETDIR and WALK answer: one entry at a time by a cursor, in slices.

#include "base/bytes.h"
#include "base/probe.h"
#include "door/doozer_door.h"
#include "door/doozer_read_parts.h"

namespace doozer::door {

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
