// One segment, read to its last byte whatever is in it.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "storage/inspect.h"

namespace doozer::storage {
namespace {

bool all_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

uint32_t stored_crc(std::string_view record) {
  ByteReader reader(record);
  return reader.u32();
}

class SegmentInspector {
 public:
  SegmentInspector(std::unique_ptr<env::File> file, const SegmentQuery& query, RecordVisitor& visit)
      : window_(std::move(file)), query_(query), visit_(visit) {}

  Result<SegmentInspection> run() {
    found_.path = segment_path(query_.number);
    found_.number = query_.number;
    TRY_ASSIGN(found_.file_bytes, window_.file().size());
    limit_ = found_.file_bytes;
    if (query_.ends_at) limit_ = std::min(limit_, query_.ends_at->end);
    TRY(read_header());
    TRY(read_batches());
    TRY(judge());
    return std::move(found_);
  }

 private:
  Result<void> read_header();
  Result<void> read_batches();
  Result<uint64_t> read_batch(uint64_t at, const Marker& marker);
  Result<std::optional<Marker>> marker_at(uint64_t at);
  Result<void> judge();
  void add(const Record& record, uint32_t chain_before);
  void stop(uint64_t offset, std::string what);

  FileWindow window_;
  const SegmentQuery& query_;
  RecordVisitor& visit_;
  SegmentInspection found_;
  std::optional<uint32_t> seed_;
  std::optional<uint32_t> header_crc_;
  uint64_t limit_ = 0;
  uint32_t chain_ = 0;
  bool unbroken_ = false;      ///< the next batch must go on from chain_
  std::vector<Damage> stops_;  ///< where reading stopped; judged at the end
  uint64_t nonzero_end_ = 0;   ///< behind the last byte that is not zero
};

void SegmentInspector::stop(uint64_t offset, std::string what) {
  stops_.push_back({found_.path, offset, std::move(what)});
  unbroken_ = false;
}

Result<void> SegmentInspector::read_header() {
  TRY_ASSIGN(const std::string_view sector, window_.view(0, kSectorBytes));
  if (query_.owner) {
    seed_ = segment_seed(query_.owner->cluster, query_.owner->identity, query_.number);
  }
  auto decoded = decode_segment_header(sector);
  if (!decoded) {
    if (decoded.error().code == Code::unsupported) {
      return fail(with_context(std::move(decoded).error(), found_.path));
    }
    if (!all_zero(sector)) {
      nonzero_end_ = kSectorBytes;
      stop(0, decoded.error().message);
    }
    return {};
  }
  nonzero_end_ = kSectorBytes;
  const SegmentHeader& header = decoded->header;
  if (header.number != query_.number) {
    stop(0, "the header is of segment " + std::to_string(header.number));
    return {};
  }
  if (query_.owner &&
      (header.cluster != query_.owner->cluster || header.identity != query_.owner->identity)) {
    stop(0, "the header is of cluster " + header.cluster.to_string() + " and server " +
                header.identity.to_string());
    return {};
  }
  if (query_.newest && header.file_bytes > found_.file_bytes) {
    stops_.push_back({found_.path, found_.file_bytes,
                      "the file was " + std::to_string(header.file_bytes) + " bytes long"});
  }
  seed_ = segment_seed(header.cluster, header.identity, header.number);
  header_crc_ = decoded->crc;
  chain_ = decoded->crc;
  unbroken_ = true;
  found_.stretches.push_back({.begin = kSectorBytes, .end = kSectorBytes, .chain = chain_});
  found_.header = *std::move(decoded);
  return {};
}

/// The marker at a sector, by its own check; nullopt if there is none of this file.
Result<std::optional<Marker>> SegmentInspector::marker_at(uint64_t at) {
  TRY_ASSIGN(const std::string_view sector,
             window_.view(at, std::min<uint64_t>(kSectorBytes, found_.file_bytes - at)));
  if (all_zero(sector)) return std::nullopt;
  nonzero_end_ = at + sector.size();
  if (!seed_) return std::nullopt;
  const auto marker = find_marker(sector, *seed_, query_.number, at);
  if (!marker || (header_crc_ && marker->header_crc != *header_crc_)) return std::nullopt;
  found_.synced_to = std::max(found_.synced_to, marker->synced_to);
  return marker;
}

void SegmentInspector::add(const Record& record, uint32_t chain_before) {
  ++found_.records;
  if (const auto* entry = std::get_if<EntryView>(&record.body)) {
    if (found_.entries++ == 0) found_.first_entry = entry->index;
    found_.last_entry = entry->index;
  }
  visit_(record, found_.stretches.size() - 1, chain_before);
  chain_ = record.crc;
  found_.stretches.back().chain = chain_;
  found_.stretches.back().end = record.offset + record.size;
}

/// Reads the batch of `marker`; returns the sector behind what could be read of it.
Result<uint64_t> SegmentInspector::read_batch(uint64_t at, const Marker& marker) {
  const uint64_t batch_end = at + marker.batch_bytes;
  uint64_t offset = at;
  while (offset < batch_end) {
    const uint64_t left = std::min(batch_end, limit_) - std::min(offset, limit_);
    TRY_ASSIGN(std::string_view bytes,
               window_.view(offset, std::min<uint64_t>(left, kRecordHeadBytes)));
    const auto size = record_size(bytes);
    if (!size || *size > left) {
      stop(offset, "the record is not whole");
      break;
    }
    TRY_ASSIGN(bytes, window_.view(offset, *size));
    // Behind damage the marker has proved itself, and its crc begins the chain.
    if (offset == at && !unbroken_) {
      Record first;
      first.offset = at;
      first.size = static_cast<size_t>(*size);
      first.crc = stored_crc(bytes);
      first.body = marker;
      if (*size != kMarkerRecordBytes) break;
      found_.stretches.push_back(
          {.begin = at, .end = at, .chain = first.crc, .behind_damage = true});
      add(first, 0);
      unbroken_ = true;
      offset += first.size;
      continue;
    }
    auto record = decode_record(bytes, chain_);
    if (!record) {
      if (record.error().code == Code::unsupported) {
        return fail(with_context(std::move(record).error(),
                                 found_.path + " at offset " + std::to_string(offset)));
      }
      stop(offset, record.error().message);
      break;
    }
    if (offset != at && std::holds_alternative<Marker>(record->body)) {
      stop(offset, "a marker inside a batch");
      break;
    }
    record->offset = offset;
    add(*record, chain_);
    offset += record->size;
  }
  if (offset == batch_end) {
    ++found_.batches;
    found_.stretches.back().end = align_sector(batch_end);
  }
  return std::max(align_sector(offset), at + kSectorBytes);
}

Result<void> SegmentInspector::read_batches() {
  for (uint64_t at = kSectorBytes; at < found_.file_bytes;) {
    TRY_ASSIGN(const auto marker, marker_at(at));
    if (at >= limit_) {  // behind the end: only looked at, for its markers
      at += kSectorBytes;
      continue;
    }
    if (!marker) {
      if (unbroken_) stop(at, "no sync marker where the next batch would begin");
      at += kSectorBytes;
      continue;
    }
    if (!header_crc_) header_crc_ = marker->header_crc;
    const bool was_unbroken = unbroken_;
    TRY_ASSIGN(const uint64_t next, read_batch(at, *marker));
    // A marker that checks by itself and not by the chain: its predecessor was damaged unseen.
    if (was_unbroken && !unbroken_ && stops_.back().offset == at) {
      TRY_ASSIGN(at, read_batch(at, *marker));
      continue;
    }
    at = next;
  }
  return {};
}

/// Decides what each stop means: damage, a torn tail, or the clean end.
Result<void> SegmentInspector::judge() {
  found_.begun = nonzero_end_ > 0;
  const bool reached =
      !found_.stretches.empty() && !found_.stretches.back().behind_damage && stops_.empty();
  for (size_t i = 0; i < stops_.size(); ++i) {
    Damage& at = stops_[i];
    const bool last = i + 1 == stops_.size();
    if (query_.ends_at && at.offset >= query_.ends_at->end) continue;
    if (query_.ends_at || found_.synced_to > at.offset || !last) {
      found_.damages.push_back(std::move(at));
    } else if (at.offset == 0 && !found_.header) {
      // A header that does not check and that nothing vouches for: not begun, or torn.
      found_.torn = std::move(at);
    } else if (nonzero_end_ > at.offset || at.offset >= found_.file_bytes) {
      if (at.offset >= found_.file_bytes) {
        found_.damages.push_back(std::move(at));
      } else {
        found_.torn = std::move(at);
      }
    }
  }
  if (query_.ends_at && reached && found_.header) {
    const Stretch& end = found_.stretches.back();
    if (end.end != query_.ends_at->end || end.chain != query_.ends_at->crc) {
      found_.damages.push_back({found_.path, end.end,
                                "the next segment goes on at offset " +
                                    std::to_string(query_.ends_at->end) + " with another crc"});
    }
  }
  return {};
}

}  // namespace

std::string to_string(const Damage& damage) {
  return damage.file + " at offset " + std::to_string(damage.offset) + ": " + damage.what;
}

Result<SegmentInspection> inspect_segment(env::Disk& disk, const SegmentQuery& query,
                                          RecordVisitor& visit) {
  TRY_ASSIGN(auto file, disk.open(segment_path(query.number), env::OpenMode::read));
  return SegmentInspector(std::move(file), query, visit).run();
}

Result<uint64_t> segment_number_of(std::string_view file) {
  TRY_ASSIGN(const DecodedHeader decoded, decode_segment_header(file.substr(0, kSectorBytes)));
  return decoded.header.number;
}

}  // namespace doozer::storage
