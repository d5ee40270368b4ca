// Reads one log segment record by record, in big chunks and little memory. It judges no damage: it
// stops at the first byte that does not check and tells where and why; wal_recovery.h decides what
// that means.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/disk.h"
#include "storage/wal_format.h"

namespace doozer::storage {

constexpr size_t kScanChunkBytes = 1 * kMiB;

/// A window on a file that slides forward; remembers what it has read last.
class FileWindow {
 public:
  explicit FileWindow(std::unique_ptr<env::File> file) : file_(std::move(file)) {}
  /// Bytes `offset` .. `offset + size`, fewer at the end of the file. Valid until the next call.
  Result<std::string_view> view(uint64_t offset, uint64_t size);
  env::File& file() { return *file_; }

 private:
  std::unique_ptr<env::File> file_;
  std::string buffer_;
  uint64_t buffer_at_ = 0;
};

class SegmentReader {
 public:
  /// Opens `number` and reads its header. A header that does not check is no error here, see
  /// header(). Errors: not_found, io_error, unsupported.
  static Result<SegmentReader> open(env::Disk& disk, uint64_t number);

  const std::string& path() const { return path_; }
  uint64_t number() const { return number_; }
  uint64_t file_size() const { return file_size_; }
  /// The header if it checks (by its own identities) and carries the number of its file.
  const std::optional<DecodedHeader>& header() const { return header_; }
  /// Read no further than `limit` (aligned, at most file_size()); needs a header.
  void set_limit(uint64_t limit) { limit_ = limit; }

  /// The next record, markers included, with its views valid until the next call; nullopt where
  /// reading stops: at the limit, or at something that does not check. Errors: io_error,
  /// unsupported.
  Result<std::optional<Record>> next();

  /// After next() gave nullopt: where reading stopped. At a batch's end: the next sector.
  uint64_t offset() const { return offset_; }
  /// Why: empty at the limit.
  const std::string& stopped() const { return stopped_; }
  /// True if reading stopped inside a batch whose marker did check.
  bool inside_batch() const { return offset_ < batch_end_; }
  /// The chain at offset().
  uint32_t chain() const { return chain_; }
  /// The last marker that next() gave.
  const std::optional<Marker>& marker() const { return marker_; }

  FileWindow& window() { return window_; }

 private:
  SegmentReader(std::unique_ptr<env::File> file, uint64_t number)
      : window_(std::move(file)), path_(segment_path(number)), number_(number) {}
  Result<std::optional<Record>> next_marker();
  Result<std::optional<Record>> take(uint64_t size_max);
  std::nullopt_t stop(std::string why);

  FileWindow window_;
  std::string path_;
  uint64_t number_;
  uint64_t file_size_ = 0;
  uint64_t limit_ = 0;
  std::optional<DecodedHeader> header_;
  uint64_t offset_ = kSectorBytes;
  uint64_t batch_end_ = 0;  ///< without padding; not above offset_: between batches
  uint32_t chain_ = 0;
  std::optional<Marker> marker_;
  std::string stopped_;
};

/// What lies at and behind the place where reading the last segment stopped.
struct Remains {
  uint64_t synced_to = 0;    ///< the largest of all markers that check by themselves; 0: none
  Index last_index;          ///< the largest that those markers name
  bool any_marker = false;   ///< one was found
  uint64_t nonzero_end = 0;  ///< behind the last byte that is not zero; 0: all are zero
};
/// True if sectors of the batch at which reading stopped were never written: where the writer had
/// put something, nothing but the zeros of a prepared file is left. Errors: io_error.
Result<bool> never_written(SegmentReader& reader);
/// Looks through the whole rest of the file, from `from` on. With `header_crc`, markers of another
/// header do not count. Errors: io_error.
Result<Remains> look_behind(SegmentReader& reader, uint64_t from, uint32_t seed,
                            std::optional<uint32_t> header_crc);

}  // namespace doozer::storage
