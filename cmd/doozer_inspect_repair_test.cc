// What the offline reader says of a directory under repair, and of one whose received snapshot is
// not installed yet.
#include <gtest/gtest.h>

#include <functional>

#include "cmd/doozer_inspect_print.h"
#include "cmd/doozer_inspect_read.h"
#include "sim/storage_harness.h"
#include "storage/storage_fixture.h"

namespace doozer::inspect {
namespace {

using sim::SimDisk;
using storage::Process;
using storage::test_identity;

const raft::Configuration kTwo{.voters = {storage::kTestOwner.identity, test_identity(0x2D)},
                               .old_voters = {}};

bool any_has(const std::vector<std::string>& lines, std::string_view text) {
  for (const std::string& line : lines) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

void stop(SimDisk& disk) {
  disk.crash(sim::CrashKind::process);
  disk.restart();
}

/// A member whose second segment was damaged when it started the last time.
void make_repairing(SimDisk& disk) {
  {
    Process process(disk);
    ASSERT_TRUE(process.create());
    ASSERT_TRUE(process.open());
    for (int i = 0; i < 4'000; ++i) {
      const bool first = i == 0;
      process.add_entry(first ? raft::EntryKind::configuration : raft::EntryKind::noop,
                        first ? raft::encode_configuration(kTwo) : "");
      if (i % 100 == 0) {
        ASSERT_TRUE(process.settle());
      }
    }
    ASSERT_TRUE(process.settle());
    process.run_for(2 * kIdleMarkerUs);
    ASSERT_GE(process.storage().stats().segments, 3U);
  }
  stop(disk);
  const auto names = *disk.list("log");
  disk.flip_bit("log/" + names[1], 30'000, 1);
  {
    Process process(disk);
    const auto opened = process.open();
    ASSERT_TRUE(opened) << opened.error().message;
    ASSERT_EQ(process.recovered().trust, raft::LogTrust::repairing);
  }
  stop(disk);
}

TEST(InspectRepair, ADirectoryUnderRepairIsDamagedAndItsFilesAreNamed) {
  SimDisk disk;
  make_repairing(disk);
  const auto found = read_directory(disk);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_FALSE(found->good());
  EXPECT_TRUE(any_has(found->damages, "under repair, entries may be missing: file \"log/"));
  EXPECT_TRUE(any_has(found->damages, "at offset "));
  EXPECT_TRUE(any_has(found->notes, ".wal.damaged\" was set aside by the repair"));
  EXPECT_TRUE(found->state.has_value()) << "what is intact in front of it";
  const auto text = print_directory(disk, *found, {});
  ASSERT_TRUE(text.has_value());
  EXPECT_NE(text->find("under repair"), std::string::npos);
}

TEST(InspectRepair, OnceItIsSettledAllOfItChecks) {
  SimDisk disk;
  make_repairing(disk);
  {
    Process process(disk);
    ASSERT_TRUE(process.open());
    process.add_entry(raft::EntryKind::noop, "");
    process.storage().settle_doubt();
    ASSERT_TRUE(process.settle());
    process.run_for(1'000'000);
  }
  stop(disk);
  const auto found = read_directory(disk);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->damages, std::vector<std::string>());
  EXPECT_EQ(found->notes, std::vector<std::string>());
}

TEST(InspectReceived, BetweenLogAndNameTheStateIsThatOfTheReceivedSnapshot) {
  SimDisk source;
  sim::LogModel model;
  storage::SnapshotHeader header;
  std::vector<std::string> chunks;
  {
    const auto session = sim::Session::start(source, model, 3);
    ASSERT_TRUE(session.has_value());
    (*session)->new_term();
    for (int i = 0; i < 30; ++i) (*session)->append_set(500);
    (*session)->flush();
    ASSERT_TRUE((*session)->settle());
    (*session)->commit_all();
    ASSERT_TRUE((*session)->take_snapshot());
    header = (*session)->storage().snapshots().back();
    auto reader = (*session)->storage().read_snapshot(header.point.index);
    ASSERT_TRUE(reader.has_value());
    while (auto chunk = *(*reader)->next()) chunks.push_back(*chunk);
  }
  for (const bool log_first : {true, false}) {
    SimDisk disk;
    disk.on_operation([&](const sim::Operation& operation) -> sim::Fate {
      const bool waits = operation.kind == sim::DiskOp::rename && operation.to.ends_with(".snap");
      const bool anew = operation.kind == sim::DiskOp::rename && operation.to.ends_with(".wal") &&
                        operation.label == "install" && !log_first;
      if (!waits && !anew) return {};
      sim::Fate crash;
      crash.kind = sim::Fate::Kind::crash;
      return crash;
    });
    {
      sim::LogModel other;
      const auto session = sim::Session::start(disk, other, 4);
      ASSERT_TRUE(session.has_value());
      (*session)->new_term();
      (*session)->append_set(100);
      (*session)->flush();
      ASSERT_TRUE((*session)->settle());
      (*session)->pass(1'000'000);
      disk.label("install");
      auto writer = (*session)->storage().write_received_snapshot(header);
      ASSERT_TRUE(writer.has_value());
      for (const std::string& chunk : chunks) {
        ASSERT_TRUE((*session)->clock().run_until_done([&] { return (*writer)->ready(); }));
        (*writer)->add(chunk);
      }
      bool done = false;
      (*writer)->finish([&](const Result<void>&) { done = true; });
      (*session)->clock().run_until_done([&] { return done || disk.crashed(); });
    }
    ASSERT_TRUE(disk.crashed());
    disk.restart();
    const auto found = read_directory(disk);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(found->damages, std::vector<std::string>());
    ASSERT_TRUE(found->state.has_value());
    if (log_first) {
      EXPECT_EQ(*found->state, model.digests[header.point.index.value()]);
      EXPECT_TRUE(any_has(found->notes, "a start installs it"));
    } else {
      EXPECT_EQ(found->state->index, Index(2));
      EXPECT_TRUE(any_has(found->notes, "never installed, a start removes it"));
    }
  }
}

}  // namespace
}  // namespace doozer::inspect
