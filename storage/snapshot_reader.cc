#include "storage/snapshot_reader.h"

#include <zstd.h>

#include "base/bytes.h"

namespace doozer::storage {

tl::unexpected<Error> SnapshotFileReader::corrupt(const std::string& why) const {
  return fail(Code::corrupt,
              "file " + quote(path_) + " at offset " + std::to_string(offset_) + ": " + why);
}

Result<std::unique_ptr<SnapshotFileReader>> SnapshotFileReader::open(env::Disk& disk,
                                                                     std::string path) {
  TRY_ASSIGN(auto file, disk.open(path, env::OpenMode::read));
  auto reader = std::make_unique<SnapshotFileReader>(std::move(file), std::move(path));
  TRY(reader->read_header());
  return reader;
}

Result<void> SnapshotFileReader::read_header() {
  TRY_ASSIGN(file_bytes_, window_.file().size());
  TRY_ASSIGN(std::string_view bytes, window_.view(0, kSnapshotPrefixBytes));
  auto size = snapshot_header_size(bytes);
  if (!size && size.error().code == Code::corrupt) return corrupt(size.error().message);
  if (!size) return fail(with_context(std::move(size).error(), path_));
  TRY_ASSIGN(bytes, window_.view(0, *size));
  auto decoded = decode_snapshot_header(bytes);
  if (!decoded) return corrupt(decoded.error().message);
  header_ = std::move(decoded->header);
  chain_ = decoded->crc;
  offset_ = *size;
  return {};
}

Result<std::optional<SnapshotFileReader::Stored>> SnapshotFileReader::next_stored() {
  if (ended_) return std::nullopt;
  TRY_ASSIGN(std::string_view bytes, window_.view(offset_, kSnapshotRecordHeadBytes));
  const auto head = decode_snapshot_record_head(bytes);
  if (!head) return corrupt(head.error().message);
  const size_t size = kSnapshotRecordHeadBytes + head->stored_bytes;
  TRY_ASSIGN(bytes, window_.view(offset_, size));
  if (bytes.size() != size) return corrupt("the file ends inside a record");
  if (!snapshot_record_checks(bytes, chain_)) return corrupt("the record does not check");
  const std::string_view stored = bytes.substr(kSnapshotRecordHeadBytes);
  if (head->kind == SnapshotRecordKind::end) {
    TRY_ASSIGN(const SnapshotTotals totals, decode_snapshot_end(stored));
    if (totals != totals_) return corrupt("the end record counts something else");
    offset_ += size;
    if (offset_ != file_bytes_) return corrupt("something follows the end record");
    ended_ = true;
    return std::nullopt;
  }
  chain_ = head->crc;
  offset_ += size;
  ++totals_.chunks;
  totals_.raw_bytes += head->raw_bytes;
  totals_.stored_bytes += head->stored_bytes;
  return Stored{.head = *head, .bytes = stored};
}

Result<std::optional<std::string>> SnapshotFileReader::next() {
  TRY_ASSIGN(const auto stored, next_stored());
  if (!stored) return std::nullopt;
  std::string chunk(stored->head.raw_bytes, '\0');
  const size_t got =
      ZSTD_decompress(chunk.data(), chunk.size(), stored->bytes.data(), stored->bytes.size());
  if (ZSTD_isError(got) != 0 || got != chunk.size()) {
    offset_ -= stored->bytes.size();
    return corrupt("the chunk does not decompress");
  }
  return chunk;
}

Result<bool> SnapshotFileReader::check_next() {
  TRY_ASSIGN(const auto stored, next_stored());
  return stored.has_value();
}

Result<SnapshotHeader> verify_snapshot(env::Disk& disk, const std::string& path) {
  TRY_ASSIGN(const auto reader, SnapshotFileReader::open(disk, path));
  while (true) {
    TRY_ASSIGN(const bool more, reader->check_next());
    if (!more) return reader->header();
  }
}

}  // namespace doozer::storage
