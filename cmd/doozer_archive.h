// What `doozer export` writes and `doozer import` reads: lines of JSON.
//
//   {"doozer_export":1,"path":"/","rev":1234}                   the head: format, subtree, revision
//   {"path":"/app/motd","rev":17,"value":"hello\n"}             a file; its path, revision and
//   bytes
//   {"path":"/app/key","rev":18,"value_base64":"/+8="}          a file that is not UTF-8
//   {"files":2,"crc32c":"1b2c3d4e"}                             the end
//
// An archive is valid if the end is there, counts the files, and bears the CRC32C of all bytes
// before its own line. Unknown members are ignored; a head of another number is not read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "doozer/types.h"

namespace doozer::cli {

/// Makes an archive piece by piece; each call gives bytes to write out.
class ArchiveWriter {
 public:
  std::string head(std::string_view path, int64_t revision);
  std::string file(const File& file);
  std::string end();

 private:
  std::string counted(std::string line);
  uint32_t crc_ = 0;
  int64_t files_ = 0;
};

struct Archive {
  std::string path;
  int64_t revision = 0;
  std::vector<File> files;
};

/// Errors: corrupt (with the line and what is wrong there), unsupported (another format number).
Result<Archive> parse_archive(std::string_view bytes);

}  // namespace doozer::cli
