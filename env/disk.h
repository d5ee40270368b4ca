// Files as the storage needs them, and the two lanes on which blocking work on them is done.
// File and Disk calls block; on the loop's thread they are allowed only before serving begins.
// Paths are relative to the data directory that the Disk was opened on; "" is that directory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"

namespace doozer::env {

/// One open file. Calls from one thread at a time. Closing never fails; nothing is synced by it.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to out.size() bytes at `offset`; fewer only at the end of the file. Errors: io_error.
  virtual Result<size_t> read_at(uint64_t offset, std::span<char> out) = 0;
  /// Writes all of `bytes` at `offset`, growing the file if needed. Errors: io_error, no_space;
  /// after an error any part of the bytes may have been written.
  virtual Result<void> write_at(uint64_t offset, std::string_view bytes) = 0;
  /// Makes content and size durable (fdatasync). After an error nothing is known of what was
  /// written since the last success, and trying again proves nothing. Errors: io_error, no_space.
  virtual Result<void> sync() = 0;
  /// Cuts or grows (with zeros) to `size`. Errors: io_error, no_space.
  virtual Result<void> resize(uint64_t size) = 0;
  /// Reserves blocks for bytes 0 .. size - 1 and makes the file that long; new bytes read as zero.
  /// Errors: no_space, io_error.
  virtual Result<void> allocate(uint64_t size) = 0;
  virtual Result<uint64_t> size() = 0;
};

enum class OpenMode : uint8_t {
  read,        ///< must exist
  read_write,  ///< must exist
  create,      ///< must not exist; made, read and write. The name is durable after sync_dir()
};

class Disk {
 public:
  virtual ~Disk() = default;
  /// Errors: not_found, conflict (create: it exists), io_error, no_space.
  virtual Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) = 0;
  virtual Result<bool> exists(std::string_view path) = 0;
  /// Names (not paths) in a directory, sorted by bytes. Errors: not_found, io_error.
  virtual Result<std::vector<std::string>> list(std::string_view directory) = 0;
  /// Makes one directory; it is no error if it exists. Errors: io_error, no_space.
  virtual Result<void> make_directory(std::string_view path) = 0;
  /// Replaces `to` if it exists; atomic; durable after sync_dir(). Errors: not_found, io_error.
  virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  /// Errors: not_found, io_error.
  virtual Result<void> remove(std::string_view path) = 0;
  /// Makes names created, renamed and removed in the directory durable. Errors: io_error.
  virtual Result<void> sync_directory(std::string_view directory) = 0;
  /// Bytes that may still be written to this file system. Errors: io_error.
  virtual Result<uint64_t> free_bytes() = 0;
  /// Takes the exclusive lock of the data directory, held until the Disk is destroyed or the
  /// process ends. Errors: conflict naming the holder's process id where known, io_error.
  virtual Result<void> lock(std::string_view path) = 0;
};

/// Reads a whole file. Errors: as File and Disk; too_large over `size_max`.
Result<std::string> read_file(Disk& disk, std::string_view path, uint64_t size_max);
/// Writes `path` so that after a crash it holds the old or the new content whole: temporary file
/// `path` + ".tmp", sync, rename, sync of `directory` (the one that `path` is in).
Result<void> replace_file(Disk& disk, std::string_view directory, std::string_view path,
                          std::string_view content);

enum class Lane : uint8_t {
  log,   ///< append and sync of the log, nothing else
  bulk,  ///< snapshots, preparing the next segment, deletions
};

/// Runs blocking jobs away from the loop: one at a time and in order within a lane.
class Lanes {
 public:
  virtual ~Lanes() = default;
  /// `job` runs on the lane's thread and must touch nothing that the loop touches meanwhile; `done`
  /// runs in a later turn of the loop with what job returned.
  virtual void submit(Lane lane, UniqueFunction<Result<void>()> job,
                      UniqueFunction<void(Result<void>)> done) = 0;
};

}  // namespace doozer::env
