// Damage in a member of a cluster of many: it opens, with what is intact in front of the damage,
// and says so until somebody has settled it.
#include <gtest/gtest.h>

#include <functional>

#include "base/probe.h"
#include "storage/repair_file.h"
#include "storage/storage_fixture.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

const raft::Configuration kThree{
    .voters = {kTestOwner.identity, test_identity(0x2D), test_identity(0x3D)}, .old_voters = {}};
const Identity kCandidate = test_identity(0x2D);

/// A member whose log has five segments; term and vote are the newest record but one.
class RepairTest : public testing::Test {
 protected:
  void SetUp() override { write_log(kThree); }

  void write_log(const raft::Configuration& configuration) {
    Process process(disk_);
    ASSERT_TRUE(process.create());
    ASSERT_TRUE(process.open());
    const auto put = [&](raft::EntryKind kind, std::string payload) {
      process.add_entry(kind, payload);
      entries_.push_back({process.last(), process.term(), kind, std::move(payload)});
      ASSERT_TRUE(process.settle());
    };
    entries_ = {{Index(1), Term(1), raft::EntryKind::configuration,
                 raft::encode_configuration(kTestConfiguration)}};
    process.set_hard_state(Term(2), Index(1), kCandidate);
    // Twice, so that no single damage leaves none.
    put(raft::EntryKind::configuration, raft::encode_configuration(configuration));
    put(raft::EntryKind::configuration, raft::encode_configuration(configuration));
    for (int i = 0; i < 29; ++i) {
      put(raft::EntryKind::command, std::string(10'000, static_cast<char>('a' + i % 26)));
    }
    process.set_hard_state(Term(7), Index(25), kCandidate);
    put(raft::EntryKind::command, "the last");
    process.run_for(2 * kIdleMarkerUs);
    ASSERT_EQ(process.storage().stats().segments, 6U);
    stop(disk_);
    const auto names = *disk_.list("log");
    for (const std::string& name : names) {
      const std::string path = "log/" + name;
      if (disk_.peek(path)->find_first_not_of('\0') != std::string::npos) paths_.push_back(path);
    }
    ASSERT_EQ(paths_.size(), 6U);
  }
  static void stop(sim::SimDisk& disk) {
    disk.crash(sim::CrashKind::process);
    disk.restart();
  }
  static void flip(sim::SimDisk& disk, const std::string& path, uint64_t at) {
    disk.flip_bit(path, at, at % 8);
  }
  static bool exists(sim::SimDisk& disk, const std::string& path) { return *disk.exists(path); }

  /// What is recovered is the log up to some entry.
  void expect_prefix(Process& process) {
    const auto kept = process.entries();
    ASSERT_TRUE(kept) << kept.error().message;
    ASSERT_LE(kept->size(), entries_.size());
    EXPECT_EQ(process.recovered().first_index, Index(1));
    EXPECT_EQ(process.recovered().last_index, Index(kept->size()));
    EXPECT_TRUE(std::equal(kept->begin(), kept->end(), entries_.begin()));
  }

  sim::SimDisk disk_;
  std::vector<std::string> paths_;  ///< of segments that were begun, oldest first
  std::vector<raft::Entry> entries_;
};

TEST_F(RepairTest, WhatIsIntactInFrontOfTheDamageIsKept) {
  flip(disk_, paths_[3], 30'000);
  Process process(disk_);
  ASSERT_TRUE(process.open());
  const Recovered& recovered = process.recovered();
  EXPECT_EQ(recovered.trust, raft::LogTrust::repairing);
  ASSERT_TRUE(recovered.repair);
  EXPECT_NE(recovered.repair->damage.find(paths_[3]), std::string::npos);
  EXPECT_NE(recovered.repair->damage.find("offset"), std::string::npos);
  EXPECT_EQ(recovered.doubtful_to, Index(33)) << "the last marker tells how far the log reached";
  EXPECT_TRUE(process.sink().has("log_repairing"));
  expect_prefix(process);
  EXPECT_EQ(recovered.last_index, Index(17)) << "the batches in front of it, too";
  EXPECT_EQ(recovered.configuration, kThree);

  EXPECT_FALSE(recovered.repair->vote_lost) << "the hard state stands behind the damage";
  EXPECT_EQ(recovered.hard_state.term, Term(7));
  EXPECT_EQ(recovered.hard_state.vote, kCandidate);

  for (size_t i = 0; i < paths_.size(); ++i) {
    EXPECT_EQ(exists(disk_, paths_[i]), i < 3) << paths_[i];
    EXPECT_EQ(exists(disk_, paths_[i] + ".damaged"), i >= 3) << paths_[i];
  }
}

TEST_F(RepairTest, EachStartSaysSoUntilItIsSettled) {
  flip(disk_, paths_[3], 30'000);
  Repair first;
  for (int start = 0; start < 3; ++start) {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    ASSERT_EQ(process.recovered().trust, raft::LogTrust::repairing);
    if (start == 0) first = *process.recovered().repair;
    EXPECT_EQ(process.recovered().repair, first);
    EXPECT_EQ(process.recovered().doubtful_to, Index(33));
    EXPECT_EQ(process.recovered().hard_state.vote, kCandidate);
    ASSERT_TRUE(process.put("of the leader")) << "it goes on where it is intact";
    stop(disk_);
  }
  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    process.add("more");
    process.storage().settle_doubt();
    EXPECT_TRUE(exists(disk_, "repair")) << "what makes up for it is not durable yet";
    ASSERT_TRUE(process.settle());
    process.run_for(1'000'000);
    disk_.crash(sim::CrashKind::machine_lost);
    disk_.restart();
  }
  EXPECT_FALSE(exists(disk_, "repair"));
  const auto names = *disk_.list("log");
  for (const std::string& name : names) EXPECT_FALSE(name.ends_with(".damaged"));
  Process process(disk_);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
  EXPECT_FALSE(process.recovered().repair);
  EXPECT_EQ(process.recovered().last_index, Index(21));
}

TEST_F(RepairTest, AVoteThatMayBeLostIsToldAndTheTermIsTheHighestThatReads) {
  const std::string newest = paths_.back();
  const size_t vote_at = disk_.peek(newest)->rfind(std::string(kCandidate.view()));
  ASSERT_NE(vote_at, std::string::npos);
  flip(disk_, newest, vote_at);
  Process process(disk_);
  ASSERT_TRUE(process.open());
  ASSERT_TRUE(process.recovered().repair);
  EXPECT_TRUE(process.recovered().repair->vote_lost);
  EXPECT_EQ(process.recovered().hard_state.vote, Identity());
  EXPECT_EQ(process.recovered().hard_state.term, Term(2)) << "the highest that reads";
}

TEST_F(RepairTest, AnyDamageLeavesAPrefixAndNeverAnotherVote) {
  int repairing = 0;
  int sure = 0;
  for (const std::string& path : paths_) {
    const std::string content = *disk_.peek(path);
    for (size_t at = 0; at < content.size(); at += at < 2 * kSectorBytes ? 41 : 9'973) {
      SCOPED_TRACE(path + " byte " + std::to_string(at));
      const auto copy = disk_.clone(1);
      flip(*copy, path, at);
      for (int start = 0; start < 2; ++start) {
        Process process(*copy);
        const auto opened = process.open();
        ASSERT_TRUE(opened) << opened.error().message;
        expect_prefix(process);
        const Recovered& recovered = process.recovered();
        if (recovered.trust == raft::LogTrust::sound) {
          ASSERT_EQ(recovered.last_index, Index(33));
        }
        if (recovered.repair) ++repairing;
        if (recovered.repair && recovered.repair->vote_lost) {
          ASSERT_TRUE(recovered.hard_state.vote.none());
        } else {
          ++sure;
          ASSERT_EQ(recovered.hard_state.term, Term(7));
          ASSERT_EQ(recovered.hard_state.vote, kCandidate);
        }
        stop(*copy);
        if (HasFatalFailure()) return;
      }
    }
  }
  EXPECT_GT(repairing, 200);
  EXPECT_GT(sure, 200);
}

struct Loss {
  const char* name;
  std::function<void(sim::SimDisk&, const std::vector<std::string>&)> happen;
  Index kept;
  bool vote_lost;
};

TEST_F(RepairTest, MissingShortAndExchangedFilesAreDamageToo) {
  const Loss losses[] = {
      {"one in the middle is gone",
       [](auto& disk, auto& paths) { ASSERT_TRUE(disk.remove(paths[2])); }, Index(0), false},
      {"the newest is gone", [](auto& disk, auto& paths) { ASSERT_TRUE(disk.remove(paths[5])); },
       Index(27), true},
      {"all but the first are gone",
       [](auto& disk, auto& paths) {
         for (size_t i = 1; i < 6; ++i) ASSERT_TRUE(disk.remove(paths[i]));
       },
       Index(3), true},
      {"a short one in the middle",
       [](auto& disk, auto& paths) {
         ASSERT_TRUE((*disk.open(paths[3], env::OpenMode::read_write))->resize(20'000));
       },
       Index(16), false},
      {"two are exchanged",
       [](auto& disk, auto& paths) {
         ASSERT_TRUE(disk.rename(paths[2], "log/x"));
         ASSERT_TRUE(disk.rename(paths[3], paths[2]));
         ASSERT_TRUE(disk.rename("log/x", paths[3]));
       },
       Index(9), false},
  };
  for (const Loss& loss : losses) {
    SCOPED_TRACE(loss.name);
    const auto copy = disk_.clone(1);
    loss.happen(*copy, paths_);
    stop(*copy);
    for (int start = 0; start < 2; ++start) {
      Process process(*copy);
      const auto opened = process.open();
      ASSERT_TRUE(opened) << opened.error().message;
      EXPECT_EQ(process.recovered().trust, raft::LogTrust::repairing);
      EXPECT_EQ(process.recovered().last_index, loss.kept);
      EXPECT_EQ(process.recovered().repair->vote_lost, loss.vote_lost);
      EXPECT_EQ(process.recovered().configuration, kThree);
      expect_prefix(process);
      stop(*copy);
    }
  }
}

TEST_F(RepairTest, ASnapshotThatTheRestOfTheLogDoesNotReachIsTheNewBeginning) {
  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    SnapshotHeader header = Process::header_at(Index(24), Term(2));
    header.point.configuration = kThree;
    ASSERT_TRUE(process.snapshot(header, {"image"}));
    stop(disk_);
  }
  flip(disk_, paths_[2], 30'000);
  for (int start = 0; start < 2; ++start) {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    EXPECT_EQ(process.recovered().trust, raft::LogTrust::repairing);
    EXPECT_EQ(process.recovered().first_index, Index(25));
    EXPECT_EQ(process.recovered().last_index, start == 0 ? Index(24) : Index(25));
    EXPECT_EQ(process.recovered().hard_state.commit, Index(24));
    ASSERT_EQ(process.recovered().snapshots.size(), 1U);
    if (start == 0) {
      ASSERT_TRUE(process.put("of the leader"));
    }
    stop(disk_);
  }
}

TEST_F(RepairTest, ASnapshotThatDoesNotReadIsMadeUpForByTheLogOrRepaired) {
  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    SnapshotHeader header = Process::header_at(Index(24), Term(2));
    header.point.configuration = kThree;
    ASSERT_TRUE(process.snapshot(header, {"image"}));
    stop(disk_);
  }
  const std::string path = "snap/" + disk_.list("snap")->front();
  const size_t in_the_image = disk_.peek(path)->size() - 50;
  const auto whole_log = disk_.clone(1);
  flip(*whole_log, path, in_the_image);
  Process goes_on(*whole_log);
  ASSERT_TRUE(goes_on.open());
  EXPECT_EQ(goes_on.recovered().trust, raft::LogTrust::sound);

  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    process.storage().purge(Index(24));
    process.run_for(1'000'000);
    ASSERT_GT(process.storage().first_index(), Index(1));
    stop(disk_);
  }
  flip(disk_, path, in_the_image);
  Process process(disk_);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().trust, raft::LogTrust::repairing);
  EXPECT_NE(process.recovered().repair->damage.find(path), std::string::npos);
  EXPECT_EQ(process.recovered().first_index, Index(1));
  EXPECT_EQ(process.recovered().last_index, Index(0));
  EXPECT_FALSE(process.recovered().repair->vote_lost);
  EXPECT_EQ(process.recovered().hard_state.vote, kCandidate);
  ASSERT_EQ(process.recovered().configurations, (std::vector<ConfigurationAt>{{Index(0), kThree}}))
      << "the newest that could be read";
}

TEST_F(RepairTest, OfASecondDamageTheFilesReplaceThoseOfTheFirst) {
  flip(disk_, paths_[4], 30'000);
  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    stop(disk_);
  }
  ASSERT_TRUE(exists(disk_, paths_[4] + ".damaged"));
  flip(disk_, paths_[1], 30'000);
  Process process(disk_);
  ASSERT_TRUE(process.open());
  EXPECT_NE(process.recovered().repair->damage.find(paths_[1]), std::string::npos);
  EXPECT_TRUE(exists(disk_, paths_[1] + ".damaged"));
  EXPECT_FALSE(exists(disk_, paths_[4] + ".damaged"));
  EXPECT_EQ(process.recovered().hard_state.vote, kCandidate);
  EXPECT_EQ(process.recovered().doubtful_to, Index(33));
  expect_prefix(process);
}

TEST_F(RepairTest, AnInstalledSnapshotMakesUpForIt) {
  flip(disk_, paths_[2], 30'000);
  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    SnapshotHeader header = Process::header_at(Index(90), Term(7));
    header.point.configuration = kThree;
    ASSERT_TRUE(process.receive(header, {"image"}));
    process.storage().settle_doubt();
    ASSERT_TRUE(process.settle());
    process.run_for(1'000'000);
    disk_.crash(sim::CrashKind::machine_lost);
    disk_.restart();
  }
  Process process(disk_);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
  EXPECT_EQ(process.recovered().first_index, Index(91));
}

/// The same log in a cluster of one.
class RepairAloneTest : public RepairTest {
 protected:
  void SetUp() override { write_log(kTestConfiguration); }
};

TEST_F(RepairAloneTest, AClusterOfOneRefusesAndChangesNothing) {
  flip(disk_, paths_[3], 30'000);
  const uint64_t operations = disk_.operations();
  Process process(disk_);
  const auto opened = process.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find("doozer-inspect salvage"), std::string::npos);
  EXPECT_EQ(disk_.operations(), operations);
}

TEST_F(RepairTest, WithoutAConfigurationThatReadsItIsRefused) {
  ASSERT_TRUE(disk_.remove(paths_[0]));
  stop(disk_);
  const uint64_t operations = disk_.operations();
  Process process(disk_);
  const auto opened = process.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_EQ(disk_.operations(), operations);
}

TEST(RepairFile, ComesBackAndEveryDamageToItIsSeen) {
  const RepairNote note{.term = Term(12),
                        .vote_lost = true,
                        .moved_first = 3,
                        .moved_last = 9,
                        .configuration = kThree,
                        .damage = "file \"x\" at offset 7: it\nis bad"};
  const std::string text = encode_repair(note);
  RepairNote expected = note;
  expected.damage = "file \"x\" at offset 7: it is bad";
  EXPECT_EQ(decode_repair(text), expected);
  RepairNote nothing;
  EXPECT_EQ(decode_repair(encode_repair(nothing)), nothing);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(decode_repair(bad)) << i;
    EXPECT_FALSE(decode_repair(text.substr(0, i))) << i;
  }
}

TEST_F(RepairTest, ANoteThatDoesNotReadMeansTheWorst) {
  flip(disk_, paths_[3], 30'000);
  {
    Process process(disk_);
    ASSERT_TRUE(process.open());
    ASSERT_FALSE(process.recovered().repair->vote_lost);
    stop(disk_);
  }
  flip(disk_, "repair", 20);
  Process process(disk_);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().trust, raft::LogTrust::repairing);
  EXPECT_TRUE(process.recovered().repair->vote_lost);
}

}  // namespace
}  // namespace doozer::storage
