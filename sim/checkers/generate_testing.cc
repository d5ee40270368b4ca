#include "sim/checkers/generate_testing.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/rng.h"
#include "core/glob.h"

namespace doozer::sim {
namespace {

/// One change of the true log; revision = its place, from 1.
struct Logged {
  WatchNote::Change change;
  std::string path;
  std::string value;
};

struct Held {
  int64_t revision = 0;
  std::string value = {};
};
using Files = std::map<std::string, Held>;

class Generator {
 public:
  explicit Generator(const GenerateOptions& options) : options_(options), rng_(options.seed) {
    states_.emplace_back();
  }
  History run();

 private:
  /// When something is to happen: an operation's effect, or its client's next step.
  struct Moment {
    uint64_t at_us;
    uint64_t order;
    bool operator<(const Moment& other) const {
      return at_us != other.at_us ? at_us < other.at_us : order < other.order;
    }
  };
  struct Client {
    uint64_t session = 0;
    int64_t floor = 0;  ///< what its session has seen
    std::map<std::string, int64_t> known = {};
  };
  int64_t newest() const { return static_cast<int64_t>(log_.size()); }
  void begin(size_t client, uint64_t now_us);
  Op draw(const Client& client);
  void take_effect(size_t id, size_t client);
  void write(Op& op, bool answered);
  /// Which state it has shown.
  int64_t read(Op& op, const Client& client);
  void list(Op& op, const Files& files);
  void append(WatchNote::Change change, const std::string& path, const std::string& value);
  void streams();
  void replicas();
  Stream stream(const std::string& glob, int64_t from, uint64_t end_us, bool lively);

  const GenerateOptions options_;
  Rng rng_;
  History history_;
  std::vector<Logged> log_;
  std::vector<uint64_t> logged_us_;
  std::vector<Files> states_;  ///< by revision
  std::vector<Client> clients_;
  std::map<Moment, std::pair<size_t, std::optional<size_t>>> agenda_;  ///< client, operation
  uint64_t order_ = 0;
  uint64_t sessions_ = 0;
  uint64_t now_us_ = 0;
};

Op Generator::draw(const Client& client) {
  Op op;
  const uint64_t dice = rng_.below(100);
  op.path = "/r/" + std::to_string(rng_.below(options_.keys));
  if (dice < 40) {
    op.kind = Action::set;
    op.value = "v" + std::to_string(history_.ops.size());
    op.length = op.value.size();
  } else if (dice < 48) {
    op.kind = Action::del;
  } else if (dice < 52) {
    op.kind = Action::nop;
    op.path.clear();
  } else if (dice < 80) {
    op.kind = Action::get;
  } else if (dice < 88) {
    op.kind = Action::stat;
  } else if (dice < 92) {
    op.kind = Action::rev;
    op.path.clear();
  } else if (dice < 96) {
    op.kind = Action::walk;
    op.path = "/r/*";
  } else {
    op.kind = Action::getdir;
    op.path = "/r";
  }
  if (is_write(op.kind)) {
    const auto known = client.known.find(op.path);
    if (op.kind != Action::nop && rng_.chance(1, 2)) {
      op.cas = known == client.known.end() ? 0 : known->second;
    }
    return op;
  }
  if (newest() > 0 && op.kind != Action::rev && rng_.chance(1, 6)) {
    op.at_rev = rng_.between(1, newest());
  } else if (rng_.chance(3, 5)) {
    op.linearizable = true;
  } else if (rng_.chance(1, 2)) {
    op.min_rev = client.floor;
  }
  return op;
}

void Generator::append(WatchNote::Change change, const std::string& path,
                       const std::string& value) {
  log_.push_back({change, path, value});
  logged_us_.push_back(now_us_);
  Files files = states_.back();
  if (change == WatchNote::Change::set) {
    files[path] = {.revision = newest(), .value = value};
  } else if (change == WatchNote::Change::del) {
    files.erase(path);
  }
  states_.push_back(std::move(files));
}

void Generator::begin(size_t client, uint64_t now_us) {
  Client& who = clients_[client];
  if (who.session == 0 || rng_.chance(1, 40)) {
    who.session = ++sessions_;
    who.floor = 0;
  }
  Op op = draw(who);
  op.client = client;
  op.session = who.session;
  op.invoked_us = now_us;
  const size_t id = history_.ops.size();
  const uint64_t effect_us = now_us + 1 + rng_.below(2'000);
  if (is_write(op.kind) && rng_.chance(options_.unknown_percent, 100)) {
    op.outcome = Outcome::unknown;
    op.completed_us = now_us + 5'000;
    who.session = 0;  // another connection
    agenda_[{op.completed_us + 1, ++order_}] = {client, std::nullopt};
    // Now, late, or never.
    if (rng_.chance(2, 3)) {
      const uint64_t late = rng_.chance(1, 2) ? rng_.below(100'000) : 0;
      agenda_[{effect_us + late, ++order_}] = {client, id};
    }
  } else {
    op.completed_us = effect_us + 1 + rng_.below(2'000);
    agenda_[{effect_us, ++order_}] = {client, id};
    agenda_[{op.completed_us + 1 + rng_.below(2'000), ++order_}] = {client, std::nullopt};
  }
  history_.ops.push_back(std::move(op));
}

void Generator::take_effect(size_t id, size_t client) {
  Op& op = history_.ops[id];
  Client& who = clients_[client];
  if (op.outcome == Outcome::unknown) return write(op, /*answered=*/false);
  // One client does one thing at a time, so this is known before its next operation.
  if (is_write(op.kind)) {
    write(op, /*answered=*/true);
    who.floor = newest();
  } else {
    who.floor = std::max({who.floor, read(op, who), op.store_rev});
  }
  if (op.kind == Action::set && op.outcome == Outcome::ok) who.known[op.path] = op.revision;
  if (op.kind == Action::get && op.at_rev == 0) who.known[op.path] = op.revision;
}

void Generator::write(Op& op, bool answered) {
  const auto file = states_.back().find(op.path);
  const bool there = file != states_.back().end();
  const bool passes = op.cas == -1 || !there || file->second.revision <= op.cas;
  if (passes) {
    if (op.kind == Action::set) append(WatchNote::Change::set, op.path, op.value);
    if (op.kind == Action::del && there) append(WatchNote::Change::del, op.path, "");
    if (op.kind == Action::nop) append(WatchNote::Change::nop, "/", "");
  }
  if (!answered) return;
  op.outcome = passes ? Outcome::ok : Outcome::refused;
  if (!passes) op.code = Code::revision_mismatch;
  if (passes && op.kind == Action::set) op.revision = newest();
  if (rng_.chance(2, 3)) op.store_rev = newest();
}

int64_t Generator::read(Op& op, const Client& client) {
  int64_t state = newest();
  if (op.at_rev != 0) {
    state = op.at_rev;
  } else if (!op.linearizable) {
    state = rng_.between(std::max({client.floor, op.min_rev, newest() - 10}), newest());
  }
  const Files& files = states_[static_cast<size_t>(state)];
  op.outcome = Outcome::ok;
  const bool listing = op.kind == Action::walk || op.kind == Action::getdir;
  if (listing || rng_.chance(2, 3)) op.store_rev = op.at_rev != 0 ? newest() : state;
  if (listing) {
    op.revision = state;
    list(op, files);
    return state;
  }
  if (op.kind == Action::rev) {
    op.revision = state;
    return state;
  }
  const auto file = files.find(op.path);
  if (file == files.end()) return state;
  op.revision = file->second.revision;
  if (op.kind == Action::get) op.value = file->second.value;
  if (op.kind == Action::stat) op.length = file->second.value.size();
  return state;
}

void Generator::list(Op& op, const Files& files) {
  for (const auto& [path, file] : files) {
    if (!path.starts_with("/r/")) continue;
    if (op.kind == Action::walk) {
      op.listed.push_back({.name = path, .revision = file.revision, .value = file.value});
    } else {
      op.listed.push_back({.name = path.substr(3)});
    }
  }
}

Stream Generator::stream(const std::string& glob, int64_t from, uint64_t end_us, bool lively) {
  Stream stream{.client = options_.clients, .glob = glob, .from = from};
  const auto compiled = core::Glob::compile(glob);
  CHECK(compiled.has_value());
  int64_t next = from;
  for (int64_t revision = from; revision <= newest(); ++revision) {
    const Logged& entry = log_[static_cast<size_t>(revision) - 1];
    const uint64_t at_us = logged_us_[static_cast<size_t>(revision) - 1] + 500;
    if (lively && rng_.chance(1, 30)) {
      stream.notes.push_back({.kind = WatchNote::Kind::resumed, .at_us = at_us, .revision = next});
    }
    if (lively && rng_.chance(1, 100)) {
      revision = std::min(newest(), revision + 5);
      next = revision + 1;
      stream.notes.push_back({.kind = WatchNote::Kind::gap, .at_us = at_us, .revision = next});
      continue;
    }
    if (!compiled->matches(entry.path)) continue;
    next = revision + 1;
    stream.notes.push_back({.at_us = at_us,
                            .revision = revision,
                            .change = entry.change,
                            .path = entry.path,
                            .value = entry.value});
  }
  stream.notes.push_back({.kind = WatchNote::Kind::through, .at_us = end_us, .revision = newest()});
  return stream;
}

void Generator::streams() {
  const uint64_t end_us = now_us_ + 100'000;
  history_.streams.push_back(stream("/**", 1, end_us, /*lively=*/false));
  history_.streams.push_back(stream("/**", 1, end_us, /*lively=*/true));
  history_.streams.push_back(stream("/r/0", 1, end_us, /*lively=*/true));
  const int64_t middle = std::max<int64_t>(1, newest() / 2);
  history_.streams.push_back(stream("/r/*", middle, end_us, /*lively=*/false));
}

/// Index and revision are the same here.
void Generator::replicas() {
  for (const char* server : {"A", "B", "C"}) {
    ReplicaNote note{.kind = ReplicaNote::Kind::started, .server = server, .incarnation = 1};
    history_.replicas.push_back(note);
    for (uint64_t index = 1; index <= log_.size(); ++index) {
      note.index = index;
      if (rng_.chance(1, 50)) {
        note.kind = ReplicaNote::Kind::snapshot;
      } else if (rng_.chance(1, 50)) {
        note.kind = ReplicaNote::Kind::started;
        ++note.incarnation;
      } else {
        note.kind = ReplicaNote::Kind::entry;
        note.term = 1 + index / 50;
        note.command = index * 7;
      }
      history_.replicas.push_back(note);
      if (index % 16 != 0) continue;
      note.kind = ReplicaNote::Kind::digest;
      note.chain = index * 11;
      note.state = index * 13;
      history_.replicas.push_back(note);
    }
  }
}

History Generator::run() {
  clients_.resize(options_.clients);
  for (size_t client = 0; client < clients_.size(); ++client) {
    agenda_[{1 + rng_.below(2'000), ++order_}] = {client, std::nullopt};
  }
  while (!agenda_.empty()) {
    const auto [moment, what] = *agenda_.begin();
    agenda_.erase(agenda_.begin());
    now_us_ = moment.at_us;
    if (what.second) {
      take_effect(*what.second, what.first);
    } else if (history_.ops.size() < options_.operations) {
      begin(what.first, now_us_);
    }
  }
  streams();
  replicas();
  return std::move(history_);
}

}  // namespace

History generate(const GenerateOptions& options) { return Generator(options).run(); }

}  // namespace doozer::sim
