// A few files in memory as a Disk that cannot be changed: for reading one file that lies anywhere
// under the name that its kind wants, and for feeding the readers with bytes of any origin.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/disk.h"

namespace doozer::storage {

/// Everything that would change it answers io_error. Must outlive its files.
class BytesDisk final : public env::Disk {
 public:
  /// By path; directories are those that the paths name.
  explicit BytesDisk(std::map<std::string, std::string, std::less<>> files)
      : files_(std::move(files)) {}
  /// One file.
  BytesDisk(std::string path, std::string content) {
    files_.emplace(std::move(path), std::move(content));
  }

  Result<std::unique_ptr<env::File>> open(std::string_view path, env::OpenMode mode) override;
  Result<bool> exists(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view directory) override;
  Result<void> make_directory(std::string_view path) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view path) override;
  Result<void> sync_directory(std::string_view directory) override;
  Result<uint64_t> free_bytes() override { return uint64_t{0}; }
  Result<void> lock(std::string_view path) override;

 private:
  std::map<std::string, std::string, std::less<>> files_;
};

}  // namespace doozer::storage
