#include "storage/segment.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace doozer::storage {

Result<std::string_view> FileWindow::view(uint64_t offset, uint64_t size) {
  const uint64_t end = offset + size;
  const bool inside = offset >= buffer_at_ && end <= buffer_at_ + buffer_.size();
  if (!inside) {
    size_t kept = 0;
    if (offset >= buffer_at_ && offset < buffer_at_ + buffer_.size()) {
      const auto skip = static_cast<size_t>(offset - buffer_at_);
      kept = buffer_.size() - skip;
      std::memmove(buffer_.data(), buffer_.data() + skip, kept);
    }
    const size_t wanted = std::max<size_t>(static_cast<size_t>(size), kept + kScanChunkBytes);
    buffer_.resize(wanted);
    buffer_at_ = offset;
    auto got = file_->read_at(offset + kept, std::span<char>(buffer_).subspan(kept));
    buffer_.resize(kept + (got ? *got : 0));
    if (!got) return fail(std::move(got).error());
  }
  return std::string_view(buffer_).substr(static_cast<size_t>(offset - buffer_at_),
                                          static_cast<size_t>(size));
}

Result<SegmentReader> SegmentReader::open(env::Disk& disk, uint64_t number) {
  TRY_ASSIGN(auto file, disk.open(segment_path(number), env::OpenMode::read));
  SegmentReader reader(std::move(file), number);
  TRY_ASSIGN(reader.file_size_, reader.window_.file().size());
  reader.limit_ = reader.file_size_;
  TRY_ASSIGN(const std::string_view sector, reader.window_.view(0, kSectorBytes));
  auto decoded = decode_segment_header(sector);
  if (!decoded) {
    if (decoded.error().code == Code::corrupt) return reader;
    return fail(with_context(std::move(decoded).error(), reader.path_));
  }
  if (decoded->header.number == number) {
    reader.chain_ = decoded->crc;
    reader.header_ = *std::move(decoded);
  }
  return reader;
}

std::nullopt_t SegmentReader::stop(std::string why) {
  stopped_ = std::move(why);
  return std::nullopt;
}

Result<std::optional<Record>> SegmentReader::take(uint64_t size_max) {
  TRY_ASSIGN(std::string_view bytes,
             window_.view(offset_, std::min<uint64_t>(kRecordHeadBytes, size_max)));
  const std::optional<uint64_t> size = record_size(bytes);
  if (!size || *size > size_max) return stop("the record is not whole");
  TRY_ASSIGN(bytes, window_.view(offset_, *size));
  auto record = decode_record(bytes, chain_);
  if (!record) {
    if (record.error().code == Code::corrupt) return stop(record.error().message);
    return fail(
        with_context(std::move(record).error(), path_ + " at offset " + std::to_string(offset_)));
  }
  record->offset = offset_;
  return *std::move(record);
}

Result<std::optional<Record>> SegmentReader::next_marker() {
  if (offset_ >= limit_) return std::nullopt;
  TRY_ASSIGN(auto record, take(std::min<uint64_t>(limit_ - offset_, kMarkerRecordBytes)));
  if (!record) return std::nullopt;
  const Marker* marker = std::get_if<Marker>(&record->body);
  if (marker == nullptr) return stop("a batch does not begin with its marker");
  const bool possible = marker->number == number_ && marker->offset == offset_ &&
                        marker->header_crc == header_->crc &&
                        marker->batch_bytes <= limit_ - offset_;
  if (!possible) return stop("the marker is not of this place");
  marker_ = *marker;
  batch_end_ = offset_ + marker->batch_bytes;
  return record;
}

Result<std::optional<Record>> SegmentReader::next() {
  CHECK(header_.has_value());
  if (!stopped_.empty()) return std::nullopt;
  const bool inside = inside_batch();
  TRY_ASSIGN(auto record, inside ? take(batch_end_ - offset_) : next_marker());
  if (!record) return std::nullopt;
  if (inside && std::holds_alternative<Marker>(record->body)) {
    return stop("a marker inside a batch");
  }
  chain_ = record->crc;
  offset_ += record->size;
  if (offset_ == batch_end_) {
    offset_ = align_sector(offset_);
    batch_end_ = 0;
  }
  return record;
}

namespace {

/// Behind the last byte of `bytes` that is not zero, 0 if all are zero.
size_t behind_nonzero(std::string_view bytes) {
  static constexpr char kZeros[kSectorBytes] = {};
  if (bytes.size() <= sizeof kZeros && std::memcmp(bytes.data(), kZeros, bytes.size()) == 0) {
    return 0;
  }
  const size_t last = bytes.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

}  // namespace

Result<bool> never_written(SegmentReader& reader) {
  // A batch begins with its marker, which is not zero.
  if (!reader.inside_batch()) {
    TRY_ASSIGN(const std::string_view first, reader.window().view(reader.offset(), kSectorBytes));
    return zero_sectors(first) > 0;
  }
  const Marker& marker = *reader.marker();
  const uint64_t end = marker.offset + align_sector(marker.batch_bytes);
  uint64_t zeros = 0;
  for (uint64_t at = marker.offset; at < end; at += kSectorBytes) {
    TRY_ASSIGN(const std::string_view sector, reader.window().view(at, kSectorBytes));
    zeros += zero_sectors(sector);
  }
  return zeros > marker.zero_sectors;
}

Result<Remains> look_behind(SegmentReader& reader, uint64_t from, uint32_t seed,
                            std::optional<uint32_t> header_crc) {
  Remains remains;
  for (uint64_t at = from; at < reader.file_size();) {
    const uint64_t next = (at / kSectorBytes + 1) * kSectorBytes;
    TRY_ASSIGN(const std::string_view bytes, reader.window().view(at, next - at));
    if (bytes.empty()) break;
    if (const size_t behind = behind_nonzero(bytes); behind != 0) {
      remains.nonzero_end = at + behind;
      const auto marker = find_marker(bytes, seed, reader.number(), at);
      if (marker && (!header_crc || marker->header_crc == *header_crc)) {
        remains.any_marker = true;
        remains.synced_to = std::max(remains.synced_to, marker->synced_to);
        remains.last_index = std::max(remains.last_index, marker->last_index);
      }
    }
    at = next;
  }
  return remains;
}

}  // namespace doozer::storage
