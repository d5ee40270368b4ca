#include "storage/log_tail.h"

#include "base/check.h"
#include "base/probe.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {

LogTail::LogTail(std::unique_ptr<env::File> file, const SegmentHeader& header, uint32_t header_crc,
                 const SegmentLink& end)
    : file_(std::move(file)),
      number_(header.number),
      header_crc_(header_crc),
      seed_(segment_seed(header.cluster, header.identity, header.number)),
      offset_(end.end),
      chain_(end.crc) {
  CHECK(end.number == header.number);
  CHECK(offset_ % kSectorBytes == 0);
}

Result<void> LogTail::put(std::string& batch, Index last_index, bool header_synced) {
  const Marker marker{.number = number_,
                      .offset = offset_,
                      .synced_to = header_synced ? offset_ : 0,
                      .header_crc = header_crc_,
                      .batch_bytes = 0,
                      .last_index = last_index};
  chain_ = seal_batch(batch, marker, seed_, chain_);
  TRY(file_->write_at(offset_, batch));
  TRY(file_->sync());
  offset_ += batch.size();
  return {};
}

Result<void> LogTail::write(std::string& batch, Index last_index) {
  return put(batch, last_index, true);
}

Result<void> LogTail::write_in_next(std::unique_ptr<env::File> file, SegmentHeader header,
                                    std::string& batch, Index last_index) {
  PROBE("wal: the writer goes on to the next segment");
  CHECK(header.number > number_);
  header.previous = {.number = number_, .end = offset_, .crc = chain_};
  file_ = std::move(file);
  const std::string sector = encode_segment_header(header);
  TRY_ASSIGN(const DecodedHeader decoded, decode_segment_header(sector));
  number_ = header.number;
  seed_ = segment_seed(header.cluster, header.identity, header.number);
  header_crc_ = decoded.crc;
  chain_ = decoded.crc;
  offset_ = kSectorBytes;
  TRY(file_->write_at(0, sector));
  return put(batch, last_index, false);
}

Result<void> LogTail::restart(env::Disk& disk, SegmentHeader& header) {
  CHECK(header.number > number_);
  CHECK(header.previous == SegmentLink());
  SealedSegment segment{.header = header, .batch = {}, .last_index = header.first_index - 1};
  begin_batch(segment.batch);
  auto written = write_whole_segment(disk, segment);
  if (!written && written.error().code == Code::no_space) {
    PROBE("wal: the log begins anew on a full disk");
    segment.header.file_bytes = kSegmentBytesMin;
    written = write_whole_segment(disk, segment);
  }
  TRY(written);
  auto file = disk.open(segment_path(header.number), env::OpenMode::read_write);
  if (!file) return fail(Code::io_error, std::move(file).error().message);
  header.file_bytes = segment.header.file_bytes;
  file_ = *std::move(file);
  number_ = header.number;
  seed_ = segment_seed(header.cluster, header.identity, header.number);
  header_crc_ = written->header_crc;
  offset_ = written->end.end;
  chain_ = written->end.crc;
  return {};
}

}  // namespace doozer::storage
