// The data directory on a real disk. Every path is opened relative to the directory's descriptor,
// so that renaming or mounting over the directory cannot make us write elsewhere.
//
// Errors name the file (with the directory as it was given) and the operating system's words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/disk.h"
#include "io/fd.h"

namespace doozer::io {

class RealDisk final : public env::Disk {
 public:
  /// Opens the directory, making it (0700, with its parents) if it is missing and `create`.
  /// Errors: not_found, io_error (also: not a directory, not writable), no_space.
  static Result<std::unique_ptr<RealDisk>> open_directory(const std::string& directory,
                                                          bool create);

  Result<std::unique_ptr<env::File>> open(std::string_view path, env::OpenMode mode) override;
  Result<bool> exists(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view directory) override;
  Result<void> make_directory(std::string_view path) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view path) override;
  Result<void> sync_directory(std::string_view directory) override;
  Result<uint64_t> free_bytes() override;
  /// The lock is of the open file description: it vanishes with this process, however it ends, and
  /// also keeps out a second RealDisk of this process.
  Result<void> lock(std::string_view path) override;
  /// Removes what open_directory() and lock() have made, if nothing else is in there: a start that
  /// was refused leaves nothing behind. Nothing else may be done with this disk afterwards.
  void undo_start();

 private:
  RealDisk(std::string name, UniqueFd fd) : name_(std::move(name)), directory_(std::move(fd)) {}
  std::string full(std::string_view path) const;
  Error error_of(int error, std::string_view doing, std::string_view path) const;

  const std::string name_;
  const UniqueFd directory_;
  UniqueFd lock_;
  std::vector<std::string> made_;  ///< directories, parents first
  std::string lock_made_;          ///< the lock's path; empty: it was there
};

}  // namespace doozer::io
