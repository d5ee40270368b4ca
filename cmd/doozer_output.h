// Where an export goes: standard output, a file that is there whole or not at all, or what stands
// at the name and is no file (a device, a FIFO), which is written to and never replaced.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::cli {

class OutputFile {
 public:
  /// "-" or empty: standard output. A regular file, also behind symbolic links, is written beside
  /// its name and put in its place by finish(), with the mode that it had; a new one is readable by
  /// its owner alone. Waits for a reader of a FIFO. Errors: io_error, and nothing was changed.
  static Result<OutputFile> create(const std::string& name);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  /// Without finish(), a file is as it was before.
  ~OutputFile();
  Result<> write(std::string_view bytes);
  /// Syncs and renames. Nothing may be written afterwards.
  Result<> finish();

 private:
  OutputFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  static Result<OutputFile> beside(const std::string& name, bool replaces);
  void close();

  int fd_;                 ///< -1: finished or moved from
  std::string name_;       ///< empty: standard output
  std::string temporary_;  ///< empty: written in place
};

}  // namespace doozer::cli
