// The archive of `doozer import`: whatever is accepted must come out the same when written again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cmd/doozer_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using doozer::cli::parse_archive;
  const auto parsed = parse_archive({reinterpret_cast<const char*>(data), size});
  if (!parsed) return 0;
  doozer::cli::ArchiveWriter writer;
  std::string again = writer.head(parsed->path, parsed->revision);
  for (const doozer::File& file : parsed->files) again += writer.file(file);
  again += writer.end();
  const auto second = parse_archive(again);
  CHECK(second.has_value());
  CHECK(second->files == parsed->files);
  return 0;
}
