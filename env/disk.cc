#include "env/disk.h"

#include "base/bytes.h"

namespace doozer::env {

Result<std::string> read_file(Disk& disk, std::string_view path, uint64_t size_max) {
  TRY_ASSIGN(const auto file, disk.open(path, OpenMode::read));
  TRY_ASSIGN(const uint64_t size, file->size());
  if (size > size_max) {
    return fail(Code::too_large, "file " + quote(path) + ": has " + std::to_string(size) +
                                     " bytes, at most " + std::to_string(size_max) +
                                     " are allowed");
  }
  std::string content(static_cast<size_t>(size), '\0');
  TRY_ASSIGN(const size_t got, file->read_at(0, content));
  content.resize(got);
  return content;
}

Result<void> replace_file(Disk& disk, std::string_view directory, std::string_view path,
                          std::string_view content) {
  const std::string temporary = std::string(path) + ".tmp";
  TRY_ASSIGN(const bool stale, disk.exists(temporary));
  if (stale) TRY(disk.remove(temporary));
  {
    TRY_ASSIGN(const auto file, disk.open(temporary, OpenMode::create));
    TRY(file->write_at(0, content));
    TRY(file->sync());
  }
  TRY(disk.rename(temporary, path));
  return disk.sync_directory(directory);
}

}  // namespace doozer::env
