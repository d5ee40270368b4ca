#include "core/node.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "base/limits.h"
#include "core/directory.h"

namespace doozer::core {

namespace {

constexpr size_t kSizeMax = (size_t{1} << 25U) - 1;
constexpr uint64_t kCountMask = (uint64_t{1} << 38U) - 1;
static_assert(kValueBytesCeiling <= kSizeMax, "a value's size fits into its field");
static_assert(kPathBytesMax <= UINT16_MAX, "a key's size fits into its field");

void* allocate(size_t bytes) {
  void* memory = std::malloc(bytes);
  CHECK(memory != nullptr);  // out of memory aborts
  return memory;
}

}  // namespace

Version* make_version(const VersionDraft& draft) {
  CHECK(draft.value.size() <= kSizeMax);
  auto* version = new (allocate(sizeof(Version) + draft.value.size())) Version{};
  version->modified = draft.modified;
  version->created = draft.created;
  version->lease = draft.lease;
  version->count = draft.count & kCountMask;
  version->tombstone = draft.tombstone ? 1 : 0;
  version->size = draft.value.size() & kSizeMax;
  if (!draft.value.empty()) {
    std::memcpy(reinterpret_cast<char*>(version + 1), draft.value.data(), draft.value.size());
  }
  return version;
}

void free_version(Version* version) { std::free(version); }

size_t version_bytes(size_t size) {
  constexpr size_t kHeapHeader = 8;
  constexpr size_t kHeapGrain = 16;
  return (sizeof(Version) + size + kHeapHeader + kHeapGrain - 1) / kHeapGrain * kHeapGrain;
}

Node* Node::make(std::string_view key) {
  CHECK(!key.empty());
  CHECK(key.size() <= kPathBytesMax);
  auto* node = new (allocate(sizeof(Node) + key.size())) Node(key.size());
  std::memcpy(reinterpret_cast<char*>(node + 1), key.data(), key.size());
  return node;
}

void Node::free(Node* node) {
  node->drop_directory();
  std::free(node);
}

Version* Node::newest() const {
  return has_directory_ ? static_cast<Directory*>(body_)->newest : static_cast<Version*>(body_);
}

void Node::set_newest(Version* version) {
  if (has_directory_) {
    static_cast<Directory*>(body_)->newest = version;
  } else {
    body_ = version;
  }
}

Directory& Node::make_directory() {
  if (!has_directory_) {
    const size_t prefix = key().size() == 1 ? 1 : key().size() + 1;
    auto directory = std::make_unique<Directory>(prefix);
    directory->newest = static_cast<Version*>(body_);
    body_ = directory.release();
    has_directory_ = true;
  }
  return *static_cast<Directory*>(body_);
}

void Node::drop_directory() {
  if (has_directory_) {
    const std::unique_ptr<Directory> directory(static_cast<Directory*>(body_));
    has_directory_ = false;
    body_ = directory->newest;
  }
}

}  // namespace doozer::core
