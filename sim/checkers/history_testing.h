// Histories by hand, for tests: `set("/a", "1").during(10, 20).ok(1)`.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

struct MadeOp : Op {
  MadeOp during(uint64_t from_us, uint64_t to_us) && {
    invoked_us = from_us;
    completed_us = to_us;
    return std::move(*this);
  }
  /// Begun, and given up as unknown; of a read as failed.
  MadeOp lost(uint64_t from_us) && {
    invoked_us = from_us;
    completed_us = from_us + 1'000;
    outcome = is_write(kind) ? Outcome::unknown : Outcome::failed;
    return std::move(*this);
  }
  MadeOp ok(int64_t with_revision = 0) && {
    outcome = Outcome::ok;
    revision = with_revision;
    return std::move(*this);
  }
  MadeOp refused(Code with = Code::revision_mismatch) && {
    outcome = Outcome::refused;
    code = with;
    return std::move(*this);
  }
  MadeOp saw(std::string what, int64_t at_revision) && {
    outcome = Outcome::ok;
    value = std::move(what);
    revision = at_revision;
    return std::move(*this);
  }
  MadeOp store(int64_t revision_of_store) && {
    store_rev = revision_of_store;
    return std::move(*this);
  }
  MadeOp lin() && {
    linearizable = true;
    return std::move(*this);
  }
  MadeOp at(int64_t asked) && {
    at_rev = asked;
    return std::move(*this);
  }
  MadeOp min(int64_t asked) && {
    min_rev = asked;
    return std::move(*this);
  }
  MadeOp by(uint64_t who) && {
    client = who;
    return std::move(*this);
  }
  MadeOp in(uint64_t which) && {
    session = which;
    return std::move(*this);
  }
  MadeOp on(std::string address) && {
    server = std::move(address);
    return std::move(*this);
  }
  MadeOp length_of(uint64_t bytes) && {
    length = bytes;
    return std::move(*this);
  }
  MadeOp entry(int64_t which) && {
    offset = which;
    return std::move(*this);
  }
  MadeOp lists(std::vector<Listed> entries, int64_t at_revision = 0) && {
    outcome = Outcome::ok;
    listed = std::move(entries);
    revision = at_revision;
    return std::move(*this);
  }
};

inline MadeOp made(Action kind, std::string path = "") {
  MadeOp op;
  op.kind = kind;
  op.path = std::move(path);
  return op;
}
inline MadeOp set(std::string path, std::string value, int64_t cas = -1) {
  MadeOp op = made(Action::set, std::move(path));
  op.value = std::move(value);
  op.length = op.value.size();
  op.cas = cas;
  return op;
}
inline MadeOp del(std::string path, int64_t cas = -1) {
  MadeOp op = made(Action::del, std::move(path));
  op.cas = cas;
  return op;
}
inline MadeOp nop() { return made(Action::nop); }
inline MadeOp get(std::string path) { return made(Action::get, std::move(path)); }
inline MadeOp stat(std::string path) { return made(Action::stat, std::move(path)); }
inline MadeOp walk(std::string glob) { return made(Action::walk, std::move(glob)); }
inline MadeOp getdir(std::string path) { return made(Action::getdir, std::move(path)); }
inline MadeOp rev() { return made(Action::rev); }

/// `watch("/**").set(1, "/a", "x").through(1)`.
struct MadeStream : Stream {
  MadeStream set(int64_t revision, std::string path, std::string value, int64_t sub = 0) && {
    return std::move(*this).note({.revision = revision,
                                  .sub = sub,
                                  .change = WatchNote::Change::set,
                                  .path = std::move(path),
                                  .value = std::move(value)});
  }
  MadeStream del(int64_t revision, std::string path) && {
    return std::move(*this).note(
        {.revision = revision, .change = WatchNote::Change::del, .path = std::move(path)});
  }
  MadeStream nop(int64_t revision) && {
    return std::move(*this).note({.revision = revision, .path = "/"});
  }
  MadeStream gap(int64_t revision) && {
    return std::move(*this).note({.kind = WatchNote::Kind::gap, .revision = revision});
  }
  MadeStream resumed(int64_t revision, int64_t sub = 0) && {
    return std::move(*this).note(
        {.kind = WatchNote::Kind::resumed, .revision = revision, .sub = sub});
  }
  MadeStream through(int64_t revision) && {
    return std::move(*this).note({.kind = WatchNote::Kind::through, .revision = revision});
  }
  MadeStream note(WatchNote one) && {
    one.at_us = 1'000'000 + notes.size();
    notes.push_back(std::move(one));
    return std::move(*this);
  }
};

inline MadeStream watch(std::string glob, int64_t from = 1) {
  MadeStream stream;
  stream.glob = std::move(glob);
  stream.from = from;
  return stream;
}

inline History history_of(std::vector<Op> ops, std::vector<Stream> streams = {}) {
  return {.ops = std::move(ops), .streams = std::move(streams)};
}

/// One row of a table: a history and the rules that it breaks, in byte order.
struct Case {
  std::string name;
  History history;
  std::vector<std::string> rules = {};
};

/// Just these rules are broken: a checker that cries at everything says nothing.
inline void expect_rules(const Case& one, const Report& report) {
  std::set<std::string> found;
  for (const Violation& violation : report.violations()) found.insert(violation.rule);
  EXPECT_EQ(std::vector<std::string>(found.begin(), found.end()), one.rules) << one.name << "\n"
                                                                             << report.to_string();
}

}  // namespace doozer::sim
