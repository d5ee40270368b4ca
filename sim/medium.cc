#include "sim/medium.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace doozer::sim {
namespace {

constexpr size_t kBetweenMax = 3;  ///< earlier unsynced states remembered of one sector

uint64_t sectors_for(uint64_t bytes) { return (bytes + kSectorBytes - 1) / kSectorBytes; }

}  // namespace

std::string_view directory_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

Medium::Node& Medium::node(NodeId id) {
  const auto found = nodes_.find(id);
  CHECK(found != nodes_.end());
  return found->second;
}

const Medium::Node& Medium::node(NodeId id) const {
  const auto found = nodes_.find(id);
  CHECK(found != nodes_.end());
  return found->second;
}

// --- Names

std::optional<NodeId> Medium::find(std::string_view path) const {
  const auto found = names_.find(path);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> Medium::name_of(NodeId node) const {
  for (const auto& [path, id] : names_) {
    if (id == node) return path;
  }
  return std::nullopt;
}

bool Medium::is_directory(std::string_view path) const {
  if (path.empty()) return true;
  const auto found = find(path);
  return found && node(*found).directory;
}

std::vector<std::string> Medium::list(std::string_view directory) const {
  std::vector<std::string> names;
  for (const auto& [path, id] : names_) {
    if (directory_of(path) == directory) {
      names.push_back(path.substr(directory.empty() ? 0 : directory.size() + 1));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

NodeId Medium::create(std::string_view path, bool directory) {
  CHECK(!find(path));
  const NodeId id = next_++;
  nodes_[id].directory = directory;
  NameChange change{.kind = NameChange::Kind::add, .from = {}, .to = std::string(path), .node = id};
  make_change(change, names_);
  changes_.push_back(std::move(change));
  return id;
}

void Medium::rename(std::string_view from, std::string_view to) {
  const auto id = find(from);
  CHECK(id.has_value());
  if (from == to) return;
  const auto replaced = find(to);
  NameChange change{.kind = NameChange::Kind::move,
                    .from = std::string(from),
                    .to = std::string(to),
                    .node = *id};
  make_change(change, names_);
  changes_.push_back(std::move(change));
  if (replaced) {
    lost_name(*replaced);
  }
}

void Medium::remove(std::string_view path) {
  const auto id = find(path);
  CHECK(id.has_value());
  NameChange change{
      .kind = NameChange::Kind::remove, .from = std::string(path), .to = {}, .node = *id};
  make_change(change, names_);
  changes_.push_back(std::move(change));
  lost_name(*id);
}

/// A name of this node is gone; a crash in the middle of a rename may have left it another one.
void Medium::lost_name(NodeId id) {
  bool& named = node(id).named;
  named = false;
  for (const auto& [path, other] : names_) named = named || other == id;
  drop_if_unused(id);
}

void Medium::make_change(const NameChange& change, Names& names) {
  if (change.kind != NameChange::Kind::remove) names[change.to] = change.node;
  if (change.kind == NameChange::Kind::add) return;
  const auto old = names.find(change.from);
  if (old != names.end() && old->second == change.node) names.erase(old);
}

void Medium::sync_directory(std::string_view directory) {
  std::vector<NameChange> left;
  for (NameChange& change : changes_) {
    const bool here =
        (change.kind != NameChange::Kind::add && directory_of(change.from) == directory) ||
        (change.kind != NameChange::Kind::remove && directory_of(change.to) == directory);
    if (here && !change.doomed) {
      make_change(change, durable_names_);
    } else {
      left.push_back(std::move(change));
    }
  }
  changes_ = std::move(left);
}

void Medium::fail_sync_directory(std::string_view directory) {
  for (NameChange& change : changes_) {
    if (directory_of(change.from) == directory || directory_of(change.to) == directory) {
      change.doomed = true;
    }
  }
}

// --- Files

Medium::Sector Medium::sector_of(const Content& content, uint64_t number) {
  const auto found = content.sectors.find(number);
  return found == content.sectors.end() ? Sector{} : found->second;
}

size_t Medium::read(NodeId file, uint64_t offset, std::span<char> out) const {
  const Content& content = node(file).now;
  if (offset >= content.size) return 0;
  const size_t wanted = std::min<uint64_t>(out.size(), content.size - offset);
  for (size_t done = 0; done < wanted;) {
    const uint64_t number = (offset + done) / kSectorBytes;
    const size_t first = (offset + done) % kSectorBytes;
    const size_t count = std::min(kSectorBytes - first, wanted - done);
    const auto found = content.sectors.find(number);
    if (found == content.sectors.end()) {
      std::memset(out.data() + done, 0, count);
    } else {
      std::memcpy(out.data() + done, found->second.data() + first, count);
    }
    done += count;
  }
  return wanted;
}

/// Notes that bytes [first, end) of a sector are about to change.
void Medium::touch(Node& node, uint64_t number, size_t first, size_t end) {
  node.doomed.erase(number);
  const auto [at, fresh] = node.dirty.try_emplace(number);
  Dirty& dirty = at->second;
  if (!fresh) {
    if (dirty.between.size() == kBetweenMax) dirty.between.erase(dirty.between.begin());
    dirty.between.push_back(sector_of(node.now, number));
  }
  dirty.first = std::min(dirty.first, first);
  dirty.end = std::max(dirty.end, end);
}

size_t Medium::write(NodeId file, uint64_t offset, std::string_view bytes) {
  Node& target = node(file);
  size_t done = 0;
  while (done < bytes.size()) {
    const uint64_t number = (offset + done) / kSectorBytes;
    const size_t first = (offset + done) % kSectorBytes;
    const size_t count = std::min(kSectorBytes - first, bytes.size() - done);
    if (number >= target.allocated_sectors && !target.now.sectors.contains(number)) {
      if (free_bytes() < kSectorBytes) break;
      ++target.scattered_sectors;
      ++used_sectors_;
    }
    touch(target, number, first, first + count);
    std::memcpy(target.now.sectors[number].data() + first, bytes.data() + done, count);
    done += count;
  }
  if (done > 0 && offset + done > target.now.size) {
    target.now.size = offset + done;
    target.sizes.push_back(target.now.size);
  }
  return done;
}

/// Counts anew what a file occupies.
void Medium::count_sectors(Node& node) {
  used_sectors_ -= node.scattered_sectors;
  node.scattered_sectors = static_cast<uint64_t>(
      std::distance(node.now.sectors.lower_bound(node.allocated_sectors), node.now.sectors.end()));
  used_sectors_ += node.scattered_sectors;
}

void Medium::resize(NodeId file, uint64_t size) {
  Node& target = node(file);
  if (size < target.now.size) {
    const uint64_t kept = sectors_for(size);
    if (size % kSectorBytes != 0 && target.now.sectors.contains(size / kSectorBytes)) {
      const size_t first = size % kSectorBytes;
      touch(target, size / kSectorBytes, first, kSectorBytes);
      Sector& last = target.now.sectors[size / kSectorBytes];
      std::memset(last.data() + first, 0, kSectorBytes - first);
    }
    for (auto at = target.now.sectors.lower_bound(kept); at != target.now.sectors.end();) {
      touch(target, at->first, 0, kSectorBytes);
      at = target.now.sectors.erase(at);
    }
    if (target.allocated_sectors > kept) {
      used_sectors_ -= target.allocated_sectors - kept;
      target.allocated_sectors = kept;
    }
    count_sectors(target);
  }
  if (size != target.now.size) target.sizes.push_back(size);
  target.now.size = size;
}

bool Medium::allocate(NodeId file, uint64_t size) {
  Node& target = node(file);
  const uint64_t wanted = sectors_for(size);
  if (wanted > target.allocated_sectors) {
    const auto already = static_cast<uint64_t>(
        std::distance(target.now.sectors.lower_bound(target.allocated_sectors),
                      target.now.sectors.lower_bound(wanted)));
    const uint64_t more = wanted - target.allocated_sectors - already;
    if (free_bytes() / kSectorBytes < more) return false;
    used_sectors_ += wanted - target.allocated_sectors;
    target.allocated_sectors = wanted;
    count_sectors(target);
  }
  if (size > target.now.size) {
    target.now.size = size;
    target.sizes.push_back(size);
  }
  return true;
}

void Medium::sync(NodeId file) {
  Node& target = node(file);
  for (const auto& [number, dirty] : target.dirty) {
    const auto found = target.now.sectors.find(number);
    if (found == target.now.sectors.end()) {
      target.durable.sectors.erase(number);
    } else {
      target.durable.sectors[number] = found->second;
    }
  }
  target.dirty.clear();
  if (!target.sizes.empty()) target.durable.size = target.now.size;
  target.sizes.clear();
}

void Medium::fail_sync(NodeId file) {
  Node& target = node(file);
  for (const auto& [number, dirty] : target.dirty) target.doomed.insert(number);
  target.dirty.clear();
  target.sizes.clear();
}

uint64_t Medium::size(NodeId file) const { return node(file).now.size; }

void Medium::opened(NodeId file) { ++node(file).handles; }

void Medium::closed(NodeId file) {
  Node& target = node(file);
  CHECK(target.handles > 0);
  --target.handles;
  drop_if_unused(file);
}

/// Gives back the blocks of a file that nobody can reach any more. The node stays: its removal may
/// not be durable, and then it comes back.
void Medium::drop_if_unused(NodeId id) {
  Node& target = node(id);
  if (target.named || target.handles > 0) return;
  used_sectors_ -= target.allocated_sectors + target.scattered_sectors;
  target.allocated_sectors = 0;
  target.scattered_sectors = 0;
}

// --- The world

uint64_t Medium::free_bytes() const {
  const uint64_t used = used_bytes();
  return used >= capacity_ ? 0 : capacity_ - used;
}

void Medium::flip_bit(NodeId file, uint64_t byte, unsigned bit) {
  Node& target = node(file);
  CHECK(byte < target.now.size);
  CHECK(bit < 8);
  for (Content* content : {&target.now, &target.durable}) {
    Sector sector = sector_of(*content, byte / kSectorBytes);
    char& flipped = sector[byte % kSectorBytes];
    flipped = static_cast<char>(static_cast<unsigned char>(flipped) ^ (1U << bit));
    content->sectors[byte / kSectorBytes] = sector;
  }
  count_sectors(target);
}

bool Medium::clean(NodeId file) const {
  const Node& target = node(file);
  return target.dirty.empty() && target.sizes.empty() && target.doomed.empty();
}

}  // namespace doozer::sim
