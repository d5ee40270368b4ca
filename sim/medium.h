// What a disk holds, and what of it survives a crash: the physics below SimDisk (sim/disk.h).
//
// Each file and each set of names exists twice: as a running process sees it, and as it is durable.
//   - A write changes 512-byte sectors of the first; sync() copies them to the second. What is not
//     yet synced survives a machine crash sector by sector: lost, kept, as some earlier unsynced
//     write left it, or trashed. Trash covers only the bytes written, not the rest of their sector
//     (what SQLite calls a power-safe overwrite): bytes once synced are never harmed.
//   - A file's size is volatile until its sync, and survives or not by itself.
//   - Creating, renaming and removing change names, which only sync_directory() makes durable; of
//     those not synced any subset survives. A file's sync says nothing about its name.
//   - After a failed sync what was to be synced reads back, but no crash lets it survive and no
//     later sync makes it durable, unless it is written again.
// Nothing here depends on addresses or on unordered containers: the Rng decides alone.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"

namespace doozer::sim {

constexpr size_t kSectorBytes = 512;

/// How what is not durable fares in a machine crash.
enum class Survival : uint8_t {
  lost,   ///< nothing of it is there
  kept,   ///< all of it is there
  torn,   ///< each sector, size and name by itself: old, new or something written between
  mixed,  ///< as torn, and sectors may hold trash
};

/// Names one file or directory for its life, whatever it is called.
using NodeId = uint64_t;

class Medium {
 public:
  explicit Medium(uint64_t capacity_bytes) : capacity_(capacity_bytes) {}

  // --- Names. Paths are relative, "" is the top; REQUIRES the caller to have checked what exists.
  std::optional<NodeId> find(std::string_view path) const;
  /// Its first name; nullopt if it has none any more.
  std::optional<std::string> name_of(NodeId node) const;
  bool is_directory(std::string_view path) const;
  std::vector<std::string> list(std::string_view directory) const;
  NodeId create(std::string_view path, bool directory);
  void rename(std::string_view from, std::string_view to);
  void remove(std::string_view path);
  void sync_directory(std::string_view directory);
  void fail_sync_directory(std::string_view directory);

  // --- Files.
  size_t read(NodeId file, uint64_t offset, std::span<char> out) const;
  /// Writes what fits on the disk and returns how many bytes that was.
  size_t write(NodeId file, uint64_t offset, std::string_view bytes);
  void resize(NodeId file, uint64_t size);
  /// False, and nothing changed, if the blocks are not there.
  bool allocate(NodeId file, uint64_t size);
  void sync(NodeId file);
  void fail_sync(NodeId file);
  uint64_t size(NodeId file) const;
  void opened(NodeId file);
  void closed(NodeId file);

  // --- The world.
  uint64_t free_bytes() const;
  uint64_t used_bytes() const { return used_sectors_ * kSectorBytes; }
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  /// Handles die; everything reads back as it was.
  void process_crash();
  /// Afterwards all that is there is durable.
  void machine_crash(Survival survival, Rng& rng);
  /// Flips one bit of a file, on the disk and in the cache. REQUIRES byte < size.
  void flip_bit(NodeId file, uint64_t byte, unsigned bit);
  /// True if nothing of this file waits for a sync (its name aside).
  bool clean(NodeId file) const;

 private:
  using Sector = std::array<char, kSectorBytes>;
  struct Content {
    uint64_t size = 0;
    std::map<uint64_t, Sector> sectors;  ///< by number; absent ones are zero
  };
  struct Dirty {
    std::vector<Sector> between;  ///< what unsynced writes before the last one left
    size_t first = kSectorBytes;  ///< the bytes written lie in [first, end)
    size_t end = 0;
  };
  struct Node {
    bool directory = false;
    Content now;
    Content durable;
    std::map<uint64_t, Dirty> dirty;
    std::set<uint64_t> doomed;       ///< sectors of a failed sync
    std::vector<uint64_t> sizes;     ///< sizes since the last sync, oldest first
    uint64_t allocated_sectors = 0;  ///< the first so many have their blocks
    uint64_t scattered_sectors = 0;  ///< written beyond those
    uint64_t handles = 0;
    bool named = true;
  };
  struct NameChange {
    enum class Kind : uint8_t { add, move, remove } kind;
    std::string from;
    std::string to;
    NodeId node = 0;
    bool doomed = false;
  };
  using Names = std::map<std::string, NodeId, std::less<>>;

  static Sector sector_of(const Content& content, uint64_t number);
  static void make_change(const NameChange& change, Names& names);
  void touch(Node& node, uint64_t number, size_t first, size_t end);
  void count_sectors(Node& node);
  static void crash_content(Node& node, Survival survival, Rng& rng);
  void crash_names(Survival survival, Rng& rng);
  void forget_unreachable();
  Node& node(NodeId id);
  const Node& node(NodeId id) const;
  void lost_name(NodeId id);
  void drop_if_unused(NodeId id);

  uint64_t capacity_;
  uint64_t used_sectors_ = 0;
  NodeId next_ = 1;
  std::map<NodeId, Node> nodes_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> changes_;  ///< not durable, in order
};

/// "log/1.wal" -> "log", "lock" -> "".
std::string_view directory_of(std::string_view path);

}  // namespace doozer::sim
