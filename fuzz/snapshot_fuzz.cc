// The bytes of a snapshot file and of the image in it. The first byte of the input chooses: a file
// as it is, the parts of a file given right checksums, or an image cut into pieces.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "core/machine.h"
#include "storage/bytes_disk.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_reader.h"

namespace doozer::storage {
namespace {

/// Gives an image to a machine in pieces of `piece` bytes. What it takes, it must give back.
void load_image(std::string_view image, size_t piece) {
  const auto machine = core::Machine::make({.history_revisions = 1});
  const auto reader = machine->read_image();
  for (size_t at = 0; at < image.size(); at += piece) {
    if (!reader->add(image.substr(at, piece))) return;
  }
  if (!reader->finish()) return;
  const auto writer = machine->write_image();
  std::string again;
  for (;;) {
    Budget budget(10'000);
    const auto step = writer->next(kSnapshotChunkBytes, budget, again);
    CHECK(step.has_value());
    if (*step == core::ImageWriter::Step::done) break;
  }
  const auto copy = core::Machine::make({.history_revisions = 1});
  const auto second = copy->read_image();
  CHECK(second->add(again).has_value());
  CHECK(second->finish().has_value());
  CHECK(copy->digests() == machine->digests());
}

void read_file(const std::string& bytes) {
  const std::string path = snapshot_path(Index(1));
  BytesDisk disk(path, bytes);
  const auto reader = SnapshotFileReader::open(disk, path);
  if (!reader) return;
  CHECK(encode_snapshot_header((*reader)->header()).size() <= bytes.size());
  std::string image;
  for (;;) {
    const auto chunk = (*reader)->next();
    if (!chunk) return;
    if (!*chunk) break;
    CHECK((*chunk)->size() <= kSnapshotChunkBytes);
    image += **chunk;
  }
  load_image(image, kSnapshotChunkBytes);
}

/// A file of right checksums around a stored chunk that is anything.
void read_chunk(std::string_view stored) {
  if (stored.size() < 4 || stored.size() > kSnapshotStoredBytesMax) return;
  ByteReader reader(stored);
  const uint32_t raw_bytes = reader.u32() % (kSnapshotChunkBytes + 1);
  std::string bytes = encode_snapshot_header({});
  const auto header = decode_snapshot_header(bytes);
  CHECK(header.has_value());
  const uint32_t chain = append_snapshot_record(bytes, SnapshotRecordKind::chunk, raw_bytes,
                                                reader.rest(), header->crc);
  const SnapshotTotals totals{
      .chunks = 1, .raw_bytes = raw_bytes, .stored_bytes = reader.rest().size()};
  append_snapshot_record(bytes, SnapshotRecordKind::end, 0, encode_snapshot_end(totals), chain);
  read_file(bytes);
}

}  // namespace
}  // namespace doozer::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: doozer::storage::read_file(rest); break;
    case 1: doozer::storage::read_chunk(rest); break;
    case 2: doozer::storage::load_image(rest, size_t{1} + data[0] / 4); break;
    default: doozer::storage::load_image(rest, doozer::kSnapshotChunkBytes); break;
  }
  return 0;
}
