#include "core/digest.h"

#include <cstring>
#include <type_traits>

#include "core/node.h"

namespace doozer::core {

namespace {

// Hashed as bytes: every field is named and there is no padding.
struct FileRecord {
  Hash128 path;
  Hash128 value;
  int64_t created;
  int64_t modified;
  uint64_t count;
  uint64_t lease;
};
static_assert(sizeof(FileRecord) == 64);

struct ChainRecord {
  Hash128 previous;
  Hash128 command;
  uint64_t index;
  int64_t revision;
  uint64_t result;
};
static_assert(sizeof(ChainRecord) == 56);

template <typename T>
Hash128 hash_record(const T& record) {
  static_assert(std::has_unique_object_representations_v<T>);
  return hash128({reinterpret_cast<const char*>(&record), sizeof record});
}

}  // namespace

void add_to(Hash128& sum, const Hash128& term) {
  sum.low += term.low;
  sum.high += term.high;
}

void take_from(Hash128& sum, const Hash128& term) {
  sum.low -= term.low;
  sum.high -= term.high;
}

Hash128 file_digest(std::string_view path, const Version& version) {
  return hash_record(FileRecord{.path = hash128(path),
                                .value = hash128(version.value()),
                                .created = version.created.value(),
                                .modified = version.modified.value(),
                                .count = version.count,
                                .lease = version.lease});
}

Hash128 chain_digest(const Hash128& previous, const ChainLink& link) {
  const uint64_t result = uint64_t{link.refused} | (link.changed ? uint64_t{1} << 8U : 0) |
                          (link.internal ? uint64_t{1} << 9U : 0);
  return hash_record(ChainRecord{.previous = previous,
                                 .command = hash128(link.command),
                                 .index = link.index.value(),
                                 .revision = link.revision.value(),
                                 .result = result});
}

}  // namespace doozer::core
