#include "storage/bytes_disk.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/bytes.h"

namespace doozer::storage {
namespace {

tl::unexpected<Error> unchangeable(std::string_view path) {
  return fail(Code::io_error, "file " + quote(path) + ": opened for reading only");
}

class BytesFile final : public env::File {
 public:
  explicit BytesFile(std::string_view content) : content_(content) {}
  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    if (offset >= content_.size()) return size_t{0};
    const std::string_view rest = content_.substr(static_cast<size_t>(offset));
    const size_t count = std::min(rest.size(), out.size());
    if (count > 0) std::memcpy(out.data(), rest.data(), count);
    return count;
  }
  Result<void> write_at(uint64_t, std::string_view) override { return unchangeable("in memory"); }
  Result<void> sync() override { return unchangeable("in memory"); }
  Result<void> resize(uint64_t) override { return unchangeable("in memory"); }
  Result<void> allocate(uint64_t) override { return unchangeable("in memory"); }
  Result<uint64_t> size() override { return uint64_t{content_.size()}; }

 private:
  std::string_view content_;  // borrowed from the disk
};

}  // namespace

Result<std::unique_ptr<env::File>> BytesDisk::open(std::string_view path, env::OpenMode mode) {
  if (mode != env::OpenMode::read) return unchangeable(path);
  const auto found = files_.find(path);
  if (found == files_.end()) {
    return fail(Code::not_found, "file " + quote(path) + ": does not exist");
  }
  return std::make_unique<BytesFile>(found->second);
}

Result<bool> BytesDisk::exists(std::string_view path) {
  if (path.empty() || files_.contains(path)) return true;
  const std::string prefix = std::string(path) + "/";
  const auto below = files_.lower_bound(prefix);
  return below != files_.end() && below->first.starts_with(prefix);
}

Result<std::vector<std::string>> BytesDisk::list(std::string_view directory) {
  const std::string prefix = directory.empty() ? "" : std::string(directory) + "/";
  std::set<std::string> names;
  for (auto at = files_.lower_bound(prefix); at != files_.end(); ++at) {
    if (!at->first.starts_with(prefix)) break;
    const std::string rest = at->first.substr(prefix.size());
    names.insert(rest.substr(0, rest.find('/')));
  }
  if (names.empty() && !directory.empty()) {
    return fail(Code::not_found, "directory " + quote(directory) + ": does not exist");
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<void> BytesDisk::make_directory(std::string_view path) { return unchangeable(path); }
Result<void> BytesDisk::rename(std::string_view from, std::string_view) {
  return unchangeable(from);
}
Result<void> BytesDisk::remove(std::string_view path) { return unchangeable(path); }
Result<void> BytesDisk::sync_directory(std::string_view path) { return unchangeable(path); }
Result<void> BytesDisk::lock(std::string_view path) { return unchangeable(path); }

}  // namespace doozer::storage
