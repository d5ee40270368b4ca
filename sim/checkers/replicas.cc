#include "sim/checkers/replicas.h"

#include <string>
#include <unordered_map>

#include "base/check.h"

namespace doozer::sim {
namespace {

std::string who(const ReplicaNote& note) {
  return note.server + " (life " + std::to_string(note.incarnation) + ")";
}

/// Where one server stands.
struct Position {
  uint64_t incarnation = 0;
  uint64_t index = 0;
};

class ReplicaCheck {
 public:
  explicit ReplicaCheck(Report& report) : report_(report) {}
  void take(const ReplicaNote& note);

 private:
  void start(const ReplicaNote& note, Position& position);
  void apply(const ReplicaNote& note, Position& position);
  void compare_entry(const ReplicaNote& note);
  void compare_digest(const ReplicaNote& note, const Position& position);

  Report& report_;
  std::unordered_map<std::string, Position> positions_;
  std::unordered_map<uint64_t, const ReplicaNote*> entries_;  ///< by index, the first told
  std::unordered_map<uint64_t, const ReplicaNote*> digests_;
};

void ReplicaCheck::take(const ReplicaNote& note) {
  Position& position = positions_[note.server];
  if (note.kind == ReplicaNote::Kind::started) return start(note, position);
  if (note.incarnation != position.incarnation) {
    report_.add("replica.wrong_life", who(note) + " at index " + std::to_string(note.index) +
                                          ": its life is " + std::to_string(position.incarnation));
    return;
  }
  switch (note.kind) {
    case ReplicaNote::Kind::entry: return apply(note, position);
    case ReplicaNote::Kind::snapshot: position.index = note.index; return;
    case ReplicaNote::Kind::digest: return compare_digest(note, position);
    case ReplicaNote::Kind::started: UNREACHABLE();
  }
}

void ReplicaCheck::start(const ReplicaNote& note, Position& position) {
  if (note.incarnation <= position.incarnation) {
    report_.add("replica.life_used_twice",
                who(note) + " after life " + std::to_string(position.incarnation));
  }
  position = {.incarnation = note.incarnation, .index = note.index};
}

void ReplicaCheck::apply(const ReplicaNote& note, Position& position) {
  if (note.index != position.index + 1) {
    report_.add("replica.applied_out_of_order", who(note) + " applied index " +
                                                    std::to_string(note.index) + " after " +
                                                    std::to_string(position.index));
  }
  position.index = note.index;
  compare_entry(note);
}

void ReplicaCheck::compare_entry(const ReplicaNote& note) {
  const ReplicaNote& first = *entries_.try_emplace(note.index, &note).first->second;
  if (first.term == note.term && first.command == note.command) return;
  report_.add("replica.entries_differ", "index " + std::to_string(note.index) + ": " + who(first) +
                                            " applied term " + std::to_string(first.term) +
                                            " command " + std::to_string(first.command) + ", " +
                                            who(note) + " term " + std::to_string(note.term) +
                                            " command " + std::to_string(note.command));
}

void ReplicaCheck::compare_digest(const ReplicaNote& note, const Position& position) {
  if (note.index != position.index) {
    report_.add("replica.digest_elsewhere", who(note) + " told digests of index " +
                                                std::to_string(note.index) + " at index " +
                                                std::to_string(position.index));
  }
  const ReplicaNote& first = *digests_.try_emplace(note.index, &note).first->second;
  if (first.chain == note.chain && first.state == note.state) return;
  report_.add("replica.digests_differ", "index " + std::to_string(note.index) + ": " + who(first) +
                                            " chain " + std::to_string(first.chain) + " state " +
                                            std::to_string(first.state) + ", " + who(note) +
                                            " chain " + std::to_string(note.chain) + " state " +
                                            std::to_string(note.state));
}

}  // namespace

void check_replicas(const History& history, Report& report) {
  ReplicaCheck check(report);
  for (const ReplicaNote& note : history.replicas) check.take(note);
}

}  // namespace doozer::sim
