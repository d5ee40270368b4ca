#include "storage/storage.h"

#include <gtest/gtest.h>

#include "base/probe.h"
#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

class StorageTest : public testing::Test {
 protected:
  void start() {
    process_ = std::make_unique<Process>(disk_);
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
  }
  void kill(sim::CrashKind kind) {
    process_.reset();
    disk_.crash(kind);
    disk_.restart();
    process_ = std::make_unique<Process>(disk_);
  }
  Process& process() { return *process_; }
  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(StorageTest, ANewDirectoryHoldsItsConfiguration) {
  start();
  const Recovered& recovered = process().recovered();
  EXPECT_EQ(recovered.owner.cluster, kTestOwner.cluster);
  EXPECT_EQ(recovered.owner.identity, kTestOwner.identity);
  EXPECT_EQ(recovered.incarnation, Incarnation(1));
  EXPECT_EQ(recovered.trust, raft::LogTrust::sound);
  EXPECT_EQ(recovered.first_index, Index(1));
  EXPECT_EQ(recovered.last_index, Index(1));
  EXPECT_EQ(recovered.last_term, Term(1));
  EXPECT_EQ(recovered.hard_state.term, Term(1));
  EXPECT_EQ(recovered.configuration, kTestConfiguration);
  const auto entries = process().entries();
  ASSERT_TRUE(entries) << entries.error().message;
  ASSERT_EQ(entries->size(), 1U);
  EXPECT_EQ((*entries)[0].kind, raft::EntryKind::configuration);
}

TEST_F(StorageTest, WhatWasPersistedIsThereAfterEveryKindOfCrash) {
  for (const sim::CrashKind kind : sim::kCrashKinds) {
    SCOPED_TRACE(sim::crash_kind_name(kind));
    sim::SimDisk disk;
    std::vector<std::string> expected;
    {
      Process process(disk);
      ASSERT_TRUE(process.create());
      ASSERT_TRUE(process.open());
    }
    for (uint64_t round = 1; round < 6; ++round) {
      Process process(disk);
      const auto opened = process.open();
      ASSERT_TRUE(opened) << opened.error().message;
      EXPECT_EQ(process.recovered().incarnation, Incarnation(round + 1));
      EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
      const auto entries = process.entries();
      ASSERT_TRUE(entries) << entries.error().message;
      ASSERT_EQ(entries->size(), expected.size() + 1);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ((*entries)[i + 1].payload, expected[i]);
      }
      for (int i = 0; i < 100; ++i) {
        expected.push_back(std::string(3000, static_cast<char>('a' + i % 26)));
        ASSERT_TRUE(process.put(expected.back()));
      }
      EXPECT_GT(process.storage().stats().segments, 3U);
      if (round % 2 == 0) process.run_for(50'000);
      disk.crash(kind);
      disk.restart();
    }
  }
}

}  // namespace
}  // namespace doozer::storage
