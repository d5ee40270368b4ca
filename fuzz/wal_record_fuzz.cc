// The bytes of a log segment, as a disk may give them back: the readers never break and never read
// what a checksum does not cover. The first byte of the input chooses what the rest is.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "core/command.h"
#include "storage/bytes_disk.h"
#include "storage/inspect.h"
#include "storage/segment.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

constexpr size_t kCrcBytes = 4;

/// A whole segment file: what recovery reads, the inspector hears too (and of a batch that is cut
/// short those records that are whole).
void read_segment(const std::string& bytes) {
  const uint64_t number = segment_number_of(bytes).value_or(1);
  BytesDisk disk(segment_path(number), bytes);
  std::vector<uint64_t> heard;
  RecordVisitor visit = [&](const Record& record, size_t stretch, uint32_t) {
    CHECK(record.offset + record.size <= bytes.size());
    if (stretch == 0) heard.push_back(record.offset);
    if (const auto* entry = std::get_if<EntryView>(&record.body)) {
      (void)core::decode_command(entry->payload);
      (void)raft::decode_configuration(entry->payload);
    }
  };
  const auto found = inspect_segment(disk, {.number = number, .owner = {}, .ends_at = {}}, visit);
  if (!found) {
    CHECK(found.error().code == Code::unsupported);
    return;
  }
  auto reader = SegmentReader::open(disk, number);
  if (!reader || !reader->header()) return;
  size_t count = 0;
  for (;;) {
    const auto record = reader->next();
    if (!record || !*record) break;
    CHECK(count < heard.size());
    CHECK(heard[count] == (*record)->offset);
    ++count;
  }
}

/// One record whose crc is right: what only a body can have wrong.
void read_record(std::string_view body, uint8_t type) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u32(0);
  writer.u32(static_cast<uint32_t>(body.size()));
  writer.u8(type);
  writer.bytes(body);
  overwrite_u32(bytes, 0, crc32c(std::string_view(bytes).substr(kCrcBytes), 7));
  const auto record = decode_record(bytes, 7);
  if (!record) return;
  CHECK(record->size == bytes.size());
  if (const auto* entry = std::get_if<EntryView>(&record->body)) {
    std::string again;
    append_entry(again, entry->index, entry->term, entry->kind, entry->payload);
    CHECK(again.substr(kCrcBytes) == bytes.substr(kCrcBytes));
  }
  CHECK(!decode_record(bytes, 8));
}

/// A header whose crc is right.
void read_header(std::string sector) {
  constexpr size_t kIdentitiesAt = kRecordHeadBytes + 8 + 4;
  if (sector.size() < kHeaderRecordBytes) return;
  ByteReader reader(std::string_view(sector).substr(kIdentitiesAt));
  const Identity cluster = Identity::from_bytes(reader.bytes(Identity::kSize));
  const Identity identity = Identity::from_bytes(reader.bytes(Identity::kSize));
  const uint32_t seed = segment_seed(cluster, identity, reader.u64());
  overwrite_u32(sector, kCrcBytes, kHeaderRecordBytes - kRecordHeadBytes);
  overwrite_u32(sector, 0,
                crc32c({sector.data() + kCrcBytes, kHeaderRecordBytes - kCrcBytes}, seed));
  const auto decoded = decode_segment_header(sector);
  if (decoded) {
    CHECK(encode_segment_header(decoded->header).substr(0, kHeaderRecordBytes) ==
          sector.substr(0, kHeaderRecordBytes));
  }
}

}  // namespace
}  // namespace doozer::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0: doozer::storage::read_header(rest); break;
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: doozer::storage::read_record(rest, data[0] % 8); break;
    default: doozer::storage::read_segment(rest); break;
  }
  return 0;
}
