#include "storage/evidence.h"

#include <algorithm>
#include <vector>

#include "storage/inspect.h"

namespace doozer::storage {
namespace {

/// Hears the records of all segments in their order.
class Witness {
 public:
  explicit Witness(Evidence& evidence) : evidence_(evidence) {}

  void hear_header(const SegmentHeader& header) {
    hear_state(header.state.raft, 0);
    reach(header.first_index - 1);
    hear_term(header.previous_term);
  }

  void hear(const Record& record) {
    if (const auto* entry = std::get_if<EntryView>(&record.body)) {
      hear_term(entry->term);
      reach(entry->index);
      hear_configuration(*entry);
    } else if (const auto* state = std::get_if<DurableState>(&record.body)) {
      hear_state(state->raft, record.offset);
      reach(state->doubtful_to);
    } else if (const auto* marker = std::get_if<Marker>(&record.body)) {
      reach(marker->last_index);
    } else if (const auto* truncate = std::get_if<Truncate>(&record.body)) {
      std::erase_if(configurations_,
                    [&](const ConfigurationAt& one) { return one.index >= truncate->from; });
    }
  }

  void end_segment(const SegmentInspection& segment) {
    for (const Damage& damage : segment.damages) {
      if (damage.offset >= state_offset_) evidence_.hard_state_sure = false;
    }
    state_offset_ = 0;
  }

  void hear_snapshot(const raft::SnapshotPoint& point) {
    hear_term(point.term);
    reach(point.index);
    if (point.configuration.voters.empty()) return;
    if (configurations_.empty() || configurations_.back().index < point.index) {
      configurations_.push_back({.index = point.index, .configuration = point.configuration});
    }
  }

  void finish() {
    if (!configurations_.empty()) evidence_.configuration = configurations_.back().configuration;
  }

 private:
  void hear_term(Term term) { evidence_.term = std::max(evidence_.term, term); }
  void reach(Index index) { evidence_.reached = std::max(evidence_.reached, index); }
  void hear_state(const raft::HardState& state, uint64_t offset) {
    hear_term(state.term);
    evidence_.hard_state = state;
    evidence_.hard_state_sure = true;
    state_offset_ = offset;
  }
  void hear_configuration(const EntryView& entry) {
    if (entry.kind != raft::EntryKind::configuration) return;
    auto configuration = raft::decode_configuration(entry.payload);
    if (!configuration) return;
    configurations_.push_back({.index = entry.index, .configuration = *std::move(configuration)});
  }

  Evidence& evidence_;
  std::vector<ConfigurationAt> configurations_;
  uint64_t state_offset_ = 0;
};

}  // namespace

Result<Evidence> gather_evidence(env::Disk& disk, const Ownership& owner,
                                 const FoundSnapshots& snapshots) {
  Evidence evidence;
  Witness witness(evidence);
  TRY_ASSIGN(const auto names, disk.list("log"));
  std::vector<uint64_t> numbers;
  uint64_t newest = 0;
  for (const std::string& name : names) {
    const auto number = parse_segment_name(name);
    if (!number) continue;
    numbers.push_back(*number);
    TRY_ASSIGN(const SegmentReader reader, SegmentReader::open(disk, *number));
    if (reader.header()) newest = std::max(newest, *number);
  }
  std::sort(numbers.begin(), numbers.end());
  for (const uint64_t number : numbers) {
    TRY_ASSIGN(const SegmentReader reader, SegmentReader::open(disk, number));
    if (reader.header()) witness.hear_header(reader.header()->header);
    RecordVisitor visit = [&](const Record& record, size_t, uint32_t) { witness.hear(record); };
    const SegmentQuery query{
        .number = number, .owner = owner, .ends_at = {}, .newest = number == newest};
    TRY_ASSIGN(const SegmentInspection segment, inspect_segment(disk, query, visit));
    witness.end_segment(segment);
  }
  for (const FoundSnapshot& snapshot : snapshots.good) witness.hear_snapshot(snapshot.header.point);
  for (const auto& damaged : snapshots.damaged) {
    if (damaged.header) witness.hear_snapshot(damaged.header->point);
  }
  witness.finish();
  return evidence;
}

}  // namespace doozer::storage
