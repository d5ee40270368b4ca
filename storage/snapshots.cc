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

}  // namespace

Result<FoundSnapshots> find_snapshots(env::Disk& disk, const Ownership& owner) {
  FoundSnapshots found;
  TRY_ASSIGN(const std::vector<std::string> names, disk.list("snap"));
  for (const std::string& name : names) {
    const std::string path = "snap/" + name;
    if (name.ends_with(".snap.tmp")) found.garbage.push_back(path);
    const auto index = parse_snapshot_name(name);
    if (!index) continue;
    auto one = read_one(disk, path, *index);
    if (!one && one.error().code == Code::corrupt) {
      found.damaged.push_back({.path = path, .why = one.error().message});
      continue;
    }
    TRY(one);
    if (one->header.cluster != owner.cluster || one->header.identity != owner.identity) {
      return fail(Code::corrupt,
                  "file " + quote(path) + " belongs to server " + one->header.identity.to_string() +
                      " of cluster " + one->header.cluster.to_string() + ", the directory to " +
                      owner.identity.to_string() + " of " + owner.cluster.to_string());
    }
    found.good.push_back(*std::move(one));
  }
  while (!found.good.empty()) {
    const std::string path = snapshot_path(found.good.back().header.point.index);
    const auto verified = verify_snapshot(disk, path);
    if (verified) break;
    if (verified.error().code != Code::corrupt) return fail(verified.error());
    PROBE("snapshot: the newest one is damaged");
    found.damaged.push_back({.path = path, .why = verified.error().message});
    found.good.pop_back();
  }
  return found;
}

}  // namespace doozer::storage
