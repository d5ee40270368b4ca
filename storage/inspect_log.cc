// All segments together: which of them count, and which stretches fit together.
#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "storage/inspect.h"

namespace doozer::storage {
namespace {

/// Builds runs while records are heard in the order of the log.
class RunBuilder {
 public:
  explicit RunBuilder(std::vector<Run>& runs) : runs_(runs) {}

  /// Nothing connects what comes with what was. `first`: where it begins, if that is known.
  void begin(std::optional<Index> first) {
    runs_.push_back({.first = first.value_or(Index()),
                     .entries = {},
                     .state = {},
                     .from_header = first.has_value()});
    placed_ = first.has_value();
  }

  void hear(const Record& record, uint64_t segment, uint32_t chain_before) {
    Run& run = runs_.back();
    if (const auto* entry = std::get_if<EntryView>(&record.body)) {
      if (!placed_) run.first = entry->index;
      placed_ = true;
      if (entry->index != run.first + run.entries.size()) {
        begin(entry->index);  // it cannot follow: nothing connects the two
      }
      runs_.back().entries.push_back({.segment = segment,
                                      .offset = record.offset,
                                      .size = record.size,
                                      .chain = chain_before});
    } else if (const auto* truncate = std::get_if<Truncate>(&record.body)) {
      cut(run, truncate->from);
    } else if (const auto* state = std::get_if<DurableState>(&record.body)) {
      run.state = *state;
    }
  }

  void hear_header(const SegmentHeader& header) { runs_.back().state = header.state; }

 private:
  void cut(Run& run, Index from) {
    if (!placed_ || from < run.first) {
      run.entries.clear();
      run.first = from;
      placed_ = true;
    } else {
      run.entries.resize(std::min<size_t>(run.entries.size(), from - run.first));
    }
  }
  std::vector<Run>& runs_;
  bool placed_ = false;  ///< run.first is known
};

struct Header {
  uint64_t number = 0;
  std::optional<SegmentHeader> header;
};

Result<std::vector<Header>> read_headers(env::Disk& disk) {
  std::vector<Header> headers;
  auto names = disk.list("log");
  if (!names) {
    if (names.error().code == Code::not_found) return headers;
    return fail(std::move(names).error());
  }
  for (const std::string& name : *names) {
    const auto number = parse_segment_name(name);
    if (!number) continue;
    TRY_ASSIGN(const auto file, disk.open(segment_path(*number), env::OpenMode::read));
    std::string sector(kSectorBytes, '\0');
    TRY_ASSIGN(const size_t got, file->read_at(0, sector));
    sector.resize(got);
    auto decoded = decode_segment_header(sector);
    headers.push_back({.number = *number, .header = {}});
    if (decoded && decoded->header.number == *number) headers.back().header = decoded->header;
  }
  std::sort(headers.begin(), headers.end(),
            [](const Header& a, const Header& b) { return a.number < b.number; });
  return headers;
}

/// Where each living segment ends, by the links of the newer ones, back from the newest good
/// header; and which files the links pass over.
struct Living {
  std::map<uint64_t, SegmentLink> ends;
  std::set<uint64_t> dead;
};

Living follow_links(const std::vector<Header>& headers) {
  Living living;
  std::optional<SegmentLink> link;
  for (auto at = headers.rbegin(); at != headers.rend(); ++at) {
    if (link && link->number != 0) {
      if (at->number > link->number) {
        living.dead.insert(at->number);
        continue;
      }
      if (at->number == link->number) living.ends[at->number] = *link;
    } else if (link) {  // the newer one is the first of the log
      living.dead.insert(at->number);
      continue;
    }
    // A header that does not check has no link: the next lower file is taken as it is.
    link = at->header ? std::optional(at->header->previous) : std::nullopt;
  }
  return living;
}

}  // namespace

Result<LogInspection> inspect_log(env::Disk& disk, const std::optional<Ownership>& owner) {
  LogInspection log;
  log.owner = owner;
  TRY_ASSIGN(const std::vector<Header> headers, read_headers(disk));
  for (auto at = headers.rbegin(); at != headers.rend() && !log.owner; ++at) {
    if (at->header) log.owner = Ownership{at->header->cluster, at->header->identity};
  }
  const Living living = follow_links(headers);
  log.dead.assign(living.dead.begin(), living.dead.end());

  uint64_t newest = 0;
  for (const Header& header : headers) newest = header.header ? header.number : newest;
  RunBuilder builder(log.runs);
  std::optional<SegmentLink> reached;  // the end of the last one, if it was read without a gap
  for (const Header& header : headers) {
    const bool dead = living.dead.contains(header.number);
    SegmentQuery query{.number = header.number,
                       .owner = log.owner,
                       .ends_at = {},
                       .newest = header.number == newest};
    if (const auto end = living.ends.find(header.number); end != living.ends.end()) {
      query.ends_at = end->second;
    }
    std::optional<size_t> stretch;
    RecordVisitor visit = [&](const Record& record, size_t number, uint32_t chain_before) {
      if (dead) return;
      if (stretch != number) {
        const bool first = number == 0 && header.header;
        if (!first) {
          builder.begin(std::nullopt);
        } else if (!reached || header.header->previous != *reached) {
          builder.begin(header.header->first_index);
        }
        if (first) builder.hear_header(*header.header);
        stretch = number;
      }
      builder.hear(record, header.number, chain_before);
    };
    TRY_ASSIGN(SegmentInspection segment, inspect_segment(disk, query, visit));
    if (!dead) {
      if (segment.begun && header.header && reached && header.header->previous.number != 0 &&
          header.header->previous != *reached && segment.damages.empty() && log.damages.empty()) {
        log.damages.push_back({segment.path, 0, "it does not go on where the one before ends"});
      }
      for (const Damage& damage : segment.damages) log.damages.push_back(damage);
      reached.reset();
      if (segment.damages.empty() && !segment.stretches.empty()) {
        const Stretch& end = segment.stretches.back();
        reached = SegmentLink{segment.number, end.end, end.chain};
      }
    }
    log.segments.push_back(std::move(segment));
  }
  return log;
}

Result<raft::Entry> EntryFetcher::fetch(const EntryPlace& place) {
  if (!window_ || segment_ != place.segment) {
    TRY_ASSIGN(auto file, disk_.open(segment_path(place.segment), env::OpenMode::read));
    window_.emplace(std::move(file));
    segment_ = place.segment;
  }
  TRY_ASSIGN(const std::string_view bytes, window_->view(place.offset, place.size));
  auto record = decode_record(bytes, place.chain);
  const auto* entry = record ? std::get_if<EntryView>(&record->body) : nullptr;
  if (entry == nullptr) {
    return fail(Code::corrupt, segment_path(place.segment) + " at offset " +
                                   std::to_string(place.offset) + ": the entry has changed");
  }
  return entry->keep();
}

}  // namespace doozer::storage
