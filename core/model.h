// The reference that the machine is tested against: every revision as a whole map, every rule
// written out the long way. For tests only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/command.h"
#include "core/event.h"
#include "core/path.h"

namespace doozer::core {

class Model {
 public:
  struct File {
    std::string value;
    int64_t modified = 0;
    int64_t created = 0;
    uint64_t version = 0;
    bool operator==(const File&) const = default;
  };
  using Files = std::map<std::string, File>;
  struct Event {
    int64_t revision = 0;
    uint32_t sub = 0;
    EventKind kind = EventKind::nop;
    std::string path = {};
    std::string value = {};
    bool created = false;
  };

  int64_t revision() const { return static_cast<int64_t>(states_.size()) - 1; }
  const Files& at(int64_t revision) const { return states_[static_cast<size_t>(revision)]; }
  const Files& now() const { return states_.back(); }
  const std::vector<Event>& events() const { return events_; }

  /// The code of the refusal, if any.
  std::optional<Code> apply(const BodyView& body) {
    Files next = now();
    std::vector<Event> events;
    std::optional<Code> refused;
    if (const auto* set = std::get_if<SetView>(&body)) {
      refused = do_set(next, *set, events);
    } else if (const auto* del = std::get_if<DelView>(&body)) {
      refused = do_del(next, *del, events);
    } else if (const auto* transaction = std::get_if<TransactionView>(&body)) {
      refused = do_transaction(next, *transaction, events);
    } else {
      events.push_back({.path = "/"});
    }
    if (!refused && !events.empty()) {
      for (size_t i = 0; i < events.size(); ++i) {
        events[i].revision = revision() + 1;
        events[i].sub = static_cast<uint32_t>(i);
        events_.push_back(events[i]);
      }
      states_.push_back(next);
    }
    return refused;
  }

  static bool is_directory(const Files& files, std::string_view path) {
    const std::string below = path == "/" ? "/" : std::string(path) + "/";
    const auto first = files.lower_bound(below);
    return path == "/" || (first != files.end() && first->first.starts_with(below));
  }
  static std::vector<std::string> entries(const Files& files, std::string_view path) {
    const std::string below = path == "/" ? "/" : std::string(path) + "/";
    std::set<std::string> names;
    for (const auto& [file, unused] : files) {
      if (file.starts_with(below)) {
        const std::string rest = file.substr(below.size());
        names.insert(rest.substr(0, rest.find('/')));
      }
    }
    return {names.begin(), names.end()};
  }

 private:
  static bool passes(int64_t given, int64_t has) { return given == -1 || given >= has; }

  std::optional<Code> do_set(Files& files, const SetView& set, std::vector<Event>& events) const {
    if (set.path == "/") {
      return set.revision < -2 ? Code::revision_mismatch : Code::is_directory;
    }
    if (!is_file_path(set.path)) {
      return Code::bad_path;
    }
    for (std::string above(parent_path(set.path)); above != "/"; above = parent_path(above)) {
      if (files.contains(above)) {
        return Code::not_directory;
      }
    }
    if (is_directory(files, set.path)) {
      return set.revision < -2 ? Code::revision_mismatch : Code::is_directory;
    }
    const auto old = files.find(std::string(set.path));
    const bool is_new = old == files.end();
    if (!passes(set.revision, is_new ? 0 : old->second.modified)) {
      return Code::revision_mismatch;
    }
    files[std::string(set.path)] = {.value = std::string(set.value),
                                    .modified = revision() + 1,
                                    .created = is_new ? revision() + 1 : old->second.created,
                                    .version = is_new ? 1 : old->second.version + 1};
    events.push_back({.kind = EventKind::set,
                      .path = std::string(set.path),
                      .value = std::string(set.value),
                      .created = is_new});
    return {};
  }

  static std::optional<Code> do_del(Files& files, const DelView& del, std::vector<Event>& events) {
    if (del.path != "/" && !is_file_path(del.path)) {
      return Code::bad_path;
    }
    if (is_directory(files, del.path)) {
      return del.revision < -2 ? Code::revision_mismatch : Code::is_directory;
    }
    const auto old = files.find(std::string(del.path));
    if (!passes(del.revision, old == files.end() ? 0 : old->second.modified)) {
      return Code::revision_mismatch;
    }
    if (old != files.end()) {
      files.erase(old);
      events.push_back({.kind = EventKind::del, .path = std::string(del.path)});
    }
    return {};
  }

  std::optional<Code> do_transaction(Files& files, const TransactionView& transaction,
                                     std::vector<Event>& events) const {
    for (const GuardView& guard : transaction.guards) {
      const auto file = files.find(std::string(guard.path));
      const int64_t has = file == files.end() ? 0 : file->second.modified;
      const bool holds = (guard.compare == Compare::at_most && has <= guard.revision) ||
                         (guard.compare == Compare::equal && has == guard.revision) ||
                         (guard.compare == Compare::exists && has > 0) ||
                         (guard.compare == Compare::missing && has == 0);
      if (!holds) {
        return Code::revision_mismatch;
      }
    }
    std::set<std::string_view> paths;
    for (const OperationView& operation : transaction.operations) {
      if (!paths.insert(operation.path).second) {
        return Code::other;
      }
    }
    for (const OperationView& operation : transaction.operations) {
      const auto refused = operation.set
                               ? do_set(files, {operation.path, -1, operation.value}, events)
                               : do_del(files, {operation.path, -1}, events);
      if (refused) {
        return refused;
      }
    }
    return {};
  }

  std::vector<Files> states_{Files()};
  std::vector<Event> events_;
};

}  // namespace doozer::core
