#include "storage/exchange.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/probe.h"
#include "storage/identity_file.h"
#include "storage/repair_file.h"
#include "storage/snapshot_format.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

constexpr std::string_view kNext = ".next";
constexpr std::string_view kDirectories[] = {"log", "snap"};
/// The server's cache of addresses (server/known_peers.h): those of the old cluster.
constexpr std::string_view kPeersFile = "peers";

std::string next_name(std::string_view path) { return std::string(path) + std::string(kNext); }

/// The same disk, every file under its `.next` name; directories are the same.
class NextDisk final : public env::Disk {
 public:
  explicit NextDisk(env::Disk& disk) : disk_(disk) {}

  Result<std::unique_ptr<env::File>> open(std::string_view path, env::OpenMode mode) override {
    return disk_.open(next_name(path), mode);
  }
  Result<bool> exists(std::string_view path) override { return disk_.exists(next_name(path)); }
  Result<std::vector<std::string>> list(std::string_view directory) override {
    return disk_.list(directory);
  }
  Result<void> make_directory(std::string_view path) override { return disk_.make_directory(path); }
  Result<void> rename(std::string_view from, std::string_view to) override {
    return disk_.rename(next_name(from), next_name(to));
  }
  Result<void> remove(std::string_view path) override { return disk_.remove(next_name(path)); }
  Result<void> sync_directory(std::string_view directory) override {
    return disk_.sync_directory(directory);
  }
  Result<uint64_t> free_bytes() override { return disk_.free_bytes(); }
  Result<void> lock(std::string_view path) override { return disk_.lock(path); }

 private:
  env::Disk& disk_;
};

Result<std::vector<std::string>> list_if_there(env::Disk& disk, std::string_view directory) {
  auto names = disk.list(directory);
  if (!names && names.error().code == Code::not_found) return std::vector<std::string>();
  return names;
}

Result<void> remove_if_there(env::Disk& disk, std::string_view path) {
  TRY_ASSIGN(const bool there, disk.exists(path));
  return there ? disk.remove(path) : Result<void>();
}

/// The highest segment number and snapshot index that a file here bears, received ones too.
struct Highest {
  uint64_t segment = 0;
  Index snapshot;
};
Result<Highest> highest_names(env::Disk& disk) {
  Highest highest;
  TRY_ASSIGN(const auto segments, list_if_there(disk, "log"));
  for (const std::string& name : segments) {
    highest.segment = std::max(highest.segment, parse_segment_name(name).value_or(0));
  }
  TRY_ASSIGN(const auto snapshots, list_if_there(disk, "snap"));
  for (const std::string& name : snapshots) {
    for (const auto& index : {parse_snapshot_name(name), parse_received_name(name)}) {
      highest.snapshot = std::max(highest.snapshot, index.value_or(Index()));
    }
  }
  return highest;
}

/// A crash may have kept the name from which the identity was renamed.
Result<void> remove_temporary_identity(env::Disk& disk) {
  return remove_if_there(disk, next_name(std::string(kIdentityFile) + ".tmp"));
}

/// What is left of an exchange that was never decided.
Result<void> remove_leftovers(env::Disk& disk) {
  TRY(remove_temporary_identity(disk));
  for (const std::string_view directory : kDirectories) {
    TRY_ASSIGN(const auto names, list_if_there(disk, directory));
    for (const std::string& name : names) {
      if (!name.ends_with(kNext)) continue;
      PROBE("exchange: what was never decided was removed");
      TRY(disk.remove(std::string(directory) + "/" + name));
    }
  }
  return {};
}

/// Gives the new files their names; durable before anything old goes.
Result<void> name_new_files(env::Disk& disk) {
  for (const std::string_view directory : kDirectories) {
    TRY_ASSIGN(const auto names, disk.list(directory));
    for (const std::string& name : names) {
      if (!name.ends_with(kNext)) continue;
      const std::string path = std::string(directory) + "/" + name;
      TRY(disk.rename(path, std::string_view(path).substr(0, path.size() - kNext.size())));
    }
    TRY(disk.sync_directory(directory));
  }
  return {};
}

/// A name that storage gives; anything else in there is somebody else's and stays.
bool is_of_storage(std::string_view name) {
  return parse_segment_name(name) || parse_snapshot_name(name) || parse_received_name(name) ||
         name.ends_with(".tmp") || name.ends_with(kDamagedSuffix);
}

Result<void> remove_old_files(env::Disk& disk) {
  TRY_ASSIGN(const Highest highest, highest_names(disk));
  for (const std::string_view directory : kDirectories) {
    TRY_ASSIGN(const auto names, disk.list(directory));
    for (const std::string& name : names) {
      const bool fresh = parse_segment_name(name) == highest.segment ||
                         parse_snapshot_name(name) == highest.snapshot;
      if (!fresh && is_of_storage(name)) TRY(disk.remove(std::string(directory) + "/" + name));
    }
    TRY(disk.sync_directory(directory));
  }
  TRY(remove_temporary_identity(disk));
  TRY(remove_if_there(disk, kRepairFile));
  TRY(remove_if_there(disk, kPeersFile));
  return disk.sync_directory("");
}

}  // namespace

Result<bool> exchange_decided(env::Disk& disk) { return disk.exists(next_name(kIdentityFile)); }

Result<bool> settle_exchange(env::Disk& disk) {
  TRY_ASSIGN(const bool decided, exchange_decided(disk));
  if (!decided) {
    TRY(remove_leftovers(disk));
    return false;
  }
  // It is durable for certain before anything old goes: a crash may have come before its sync.
  TRY(disk.sync_directory(""));
  TRY(name_new_files(disk));
  TRY(remove_old_files(disk));
  // Its starts are counted on: peers know no lower one. A directory that was never opened has none.
  TRY_ASSIGN(const auto incarnation, read_incarnation(disk));
  if (!incarnation) TRY(write_incarnation(disk, Incarnation(0)));
  // Should the rename be lost after all, then before the next open has added anything: it syncs the
  // directory when it counts its start.
  TRY(disk.rename(next_name(kIdentityFile), kIdentityFile));
  TRY(disk.sync_directory(""));
  return true;
}

Result<void> exchange_directory(env::Disk& disk, SalvagedState state) {
  TRY_ASSIGN(const bool decided, exchange_decided(disk));
  if (decided) return fail(Code::conflict, "an exchange of this directory was begun before");
  TRY(remove_leftovers(disk));
  TRY_ASSIGN(const Highest highest, highest_names(disk));
  if (highest.snapshot >= state.header.point.index) {
    return fail(Code::conflict, "a snapshot at log entry " +
                                    std::to_string(highest.snapshot.value()) +
                                    " is not older than the new one");
  }
  state.segment_number = highest.segment + 1;
  NextDisk next(disk);
  TRY(write_salvaged(next, std::move(state)));
  TRY_ASSIGN(const bool settled, settle_exchange(disk));
  CHECK(settled);
  return {};
}

}  // namespace doozer::storage
