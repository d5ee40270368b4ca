#include "storage/snapshots.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/probe.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_reader.h"

namespace doozer::storage {
namespace {

/// Errors: corrupt (damage), unsupported, io_error.
Result<FoundSnapshot> read_one(env::Disk& disk, const std::string& path, Index index) {
  TRY_ASSIGN(const auto reader, SnapshotFileReader::open(disk, path));
  if (reader->header().point.index != index) {
    return fail(Code::corrupt, "file " + quote(path) + ": holds the snapshot of index " +
                                   std::to_string(reader->header().point.index.value()));
  }
  return FoundSnapshot{.header = reader->header(), .file_bytes = reader->file_bytes()};
}

Result<void> check_owner(const SnapshotHeader& header, const std::string& path,
                         const Ownership& owner) {
  if (header.cluster == owner.cluster && header.identity == owner.identity) return {};
  return fail(Code::corrupt, "file " + quote(path) + " belongs to server " +
                                 header.identity.to_string() + " of cluster " +
                                 header.cluster.to_string() + ", the directory to " +
                                 owner.identity.to_string() + " of " + owner.cluster.to_string());
}

/// One that does not check is of no use: nothing but its own publication can have needed it.
Result<void> add_received(env::Disk& disk, const std::string& path, Index index,
                          const Ownership& owner, FoundSnapshots& found) {
  auto one = read_one(disk, path, index);
  if (!one && one.error().code == Code::corrupt) {
    found.damaged.push_back({.path = path, .why = one.error().message, .header = {}});
    return {};
  }
  TRY(one);
  TRY(check_owner(one->header, path, owner));
  found.received.push_back(*std::move(one));
  return {};
}

}  // namespace

Result<FoundSnapshots> find_snapshots(env::Disk& disk, const Ownership& owner) {
  FoundSnapshots found;
  TRY_ASSIGN(const std::vector<std::string> names, disk.list("snap"));
  for (const std::string& name : names) {
    const std::string path = "snap/" + name;
    if (name.ends_with(".snap.tmp") || name.ends_with(".received.tmp")) {
      found.garbage.push_back(path);
    }
    if (const auto received = parse_received_name(name)) {
      TRY(add_received(disk, path, *received, owner, found));
    }
    const auto index = parse_snapshot_name(name);
    if (!index) continue;
    auto one = read_one(disk, path, *index);
    if (!one && one.error().code == Code::corrupt) {
      found.damaged.push_back({.path = path, .why = one.error().message, .header = {}});
      continue;
    }
    TRY(one);
    TRY(check_owner(one->header, path, owner));
    found.good.push_back(*std::move(one));
  }
  while (!found.good.empty()) {
    const std::string path = snapshot_path(found.good.back().header.point.index);
    const auto verified = verify_snapshot(disk, path);
    if (verified) break;
    if (verified.error().code != Code::corrupt) return fail(verified.error());
    PROBE("snapshot: the newest one is damaged");
    found.damaged.push_back(
        {.path = path, .why = verified.error().message, .header = found.good.back().header});
    found.good.pop_back();
  }
  return found;
}

}  // namespace doozer::storage
