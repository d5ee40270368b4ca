// Any bytes as the newest segment of a log, behind one that is whole: reading never fails a CHECK,
// and what it accepts it can also replay. The first byte chooses how the rest is used.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/check.h"
#include "raft/types.h"
#include "storage/bytes_disk.h"
#include "storage/evidence.h"
#include "storage/wal_format.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

Identity id(uint8_t fill) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.fill(fill);
  return Identity(bytes);
}

const Ownership kOwner{.cluster = id(1), .identity = id(2)};

/// A segment whose header checks, with `body` as what follows it.
std::string segment(uint64_t number, uint64_t first_index, std::string_view body) {
  const uint64_t bytes = kSectorBytes + align_sector(body.size());
  std::string out = encode_segment_header({.cluster = kOwner.cluster,
                                           .identity = kOwner.identity,
                                           .number = number,
                                           .file_bytes = bytes,
                                           .incarnation = Incarnation(1),
                                           .previous = {},
                                           .synced_to = 0,
                                           .first_index = Index(first_index),
                                           .previous_term = Term(0),
                                           .state = {}});
  out += body;
  out.resize(bytes, '\0');
  return out;
}

/// `records` (heads and bodies, checksums of any value) as one batch that checks, if their lengths
/// lead to the end.
std::string batch_of(std::string_view records, uint32_t header_crc) {
  std::string batch;
  begin_batch(batch);
  for (size_t at = 0; at < records.size();) {
    const auto size = record_size(records.substr(at));
    if (!size || *size > records.size() - at) {
      records = records.substr(0, at);
      break;
    }
    at += *size;
  }
  batch += records;
  seal_batch(batch,
             {.number = 1,
              .offset = kSectorBytes,
              .synced_to = 0,
              .header_crc = header_crc,
              .batch_bytes = 0,
              .last_index = Index(3)},
             segment_seed(kOwner.cluster, kOwner.identity, 1), header_crc);
  return batch;
}

void try_to_read(std::map<std::string, std::string, std::less<>> files) {
  BytesDisk disk(std::move(files));
  LogDamage damage;
  auto scan = scan_log(disk, kOwner, &damage);
  if (!scan && damage.number != 0) {
    // What a member of a cluster opens with instead.
    CHECK(scan.error().code == Code::corrupt);
    scan = scan_intact(disk, damage);
    if (scan) CHECK(scan->tail.batch.size() <= kBatchBytesCeiling);
    (void)gather_evidence(disk, kOwner, {});
  }
  if (!scan) return;
  const LogShape& shape = scan->shape;
  CHECK(shape.last_index() + 1 >= shape.first_index());
  // What is not in the tail that recovery would copy can be replayed.
  const Index last = scan->tail.first_index - 1;
  if (last < shape.first_index()) return;
  Index next = shape.first_index();
  UniqueFunction<Result<void>(raft::Entry)> visit =
      [&next](const raft::Entry& entry) -> Result<void> {
    CHECK(entry.index == next);
    ++next;
    return {};
  };
  (void)replay_segments(disk, scan->segments, next, last, visit);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view rest = bytes.substr(1);
  switch (data[0] % 4) {
    case 0:  // the whole file
      try_to_read({{segment_path(1), std::string(rest)}});
      break;
    case 1:  // all behind a good header
      try_to_read({{segment_path(1), segment(1, 1, rest)}});
      break;
    case 2: {  // records with good checksums
      const auto header = decode_segment_header(segment(1, 5, {}));
      CHECK(header.has_value());
      std::string file = segment(1, 5, batch_of(rest, header->crc));
      // The header's crc depends on the file's length, which the batch decides.
      const auto longer = decode_segment_header(file);
      CHECK(longer.has_value());
      file = segment(1, 5, batch_of(rest, longer->crc));
      try_to_read({{segment_path(1), std::move(file)}});
      break;
    }
    default:  // a newer file behind a whole one
      try_to_read({{segment_path(1), segment(1, 1, {})}, {segment_path(2), std::string(rest)}});
      break;
  }
  return 0;
}

}  // namespace doozer::storage
