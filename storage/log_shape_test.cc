#include "storage/log_shape.h"

#include <gtest/gtest.h>

namespace doozer::storage {
namespace {

EntryView entry(uint64_t index, uint64_t term, std::string_view payload = {},
                raft::EntryKind kind = raft::EntryKind::command) {
  return {.index = Index(index), .term = Term(term), .kind = kind, .payload = payload};
}

DurableState committed(uint64_t commit) {
  return {.raft = {.term = Term(9), .vote = {}, .commit = Index(commit)}, .doubtful_to = {}};
}

/// A log that begins with entry 10 behind one of term 3, and holds 10 .. 14 of terms 3 3 4 4 7.
LogShape five_entries() {
  SegmentHeader header;
  header.first_index = Index(10);
  header.previous_term = Term(3);
  header.state = committed(9);
  LogShape shape(header);
  const uint64_t terms[] = {3, 3, 4, 4, 7};
  uint64_t index = 10;
  for (const uint64_t term : terms) EXPECT_TRUE(shape.apply(entry(index++, term)));
  return shape;
}

TEST(LogShape, KnowsTheTermOfEveryIndex) {
  const LogShape shape = five_entries();
  EXPECT_EQ(shape.first_index(), Index(10));
  EXPECT_EQ(shape.last_index(), Index(14));
  const uint64_t terms[] = {3, 3, 3, 4, 4, 7};
  uint64_t index = 9;
  for (const uint64_t term : terms) EXPECT_EQ(shape.term_at(Index(index++)), Term(term));
  EXPECT_EQ(shape.last_term(), Term(7));
}

TEST(LogShape, WhatIsPurgedLeavesTheTermOfTheEntryBeforeTheRest) {
  for (uint64_t first = 10; first <= 15; ++first) {
    SCOPED_TRACE(first);
    LogShape shape = five_entries();
    shape.forget_before(Index(first));
    EXPECT_EQ(shape.first_index(), Index(first));
    EXPECT_EQ(shape.last_index(), Index(14));
    const uint64_t terms[] = {3, 3, 3, 4, 4, 7};
    for (uint64_t index = first - 1; index <= 14; ++index) {
      EXPECT_EQ(shape.term_at(Index(index)), Term(terms[index - 9]));
    }
    EXPECT_EQ(shape.last_term(), Term(7));
  }
}

TEST(LogShape, TruncationTakesTermsAndConfigurationsBack) {
  LogShape shape = five_entries();
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = 1;
  const std::string one =
      raft::encode_configuration({.voters = {Identity(bytes)}, .old_voters = {}});
  ASSERT_TRUE(shape.apply(entry(15, 7, one, raft::EntryKind::configuration)));
  ASSERT_EQ(shape.configurations().size(), 1U);
  EXPECT_EQ(shape.configurations().back().index, Index(15));
  ASSERT_TRUE(shape.apply(Truncate{Index(13)}));
  EXPECT_TRUE(shape.configurations().empty());
  EXPECT_EQ(shape.last_index(), Index(12));
  EXPECT_EQ(shape.last_term(), Term(4));
  ASSERT_TRUE(shape.apply(Truncate{Index(10)}));
  EXPECT_EQ(shape.last_index(), Index(9));
  EXPECT_EQ(shape.last_term(), Term(3));
  ASSERT_TRUE(shape.apply(Truncate{Index(10)})) << "of nothing";
}

TEST(LogShape, ATruncationIntoWhatWasPurgedMovesTheBeginning) {
  SegmentHeader header;
  header.first_index = Index(10);
  header.previous_term = Term(3);
  LogShape shape(header);
  ASSERT_TRUE(shape.apply(entry(10, 3)));
  ASSERT_TRUE(shape.apply(Truncate{Index(8)}));
  EXPECT_EQ(shape.first_index(), Index(8));
  EXPECT_EQ(shape.last_index(), Index(7));
  EXPECT_EQ(shape.last_term(), Term(0)) << "not known";
  ASSERT_TRUE(shape.apply(entry(8, 5)));
  EXPECT_EQ(shape.last_term(), Term(5));
}

TEST(LogShape, WhatCannotBeIsCorrupt) {
  struct Case {
    const char* name;
    RecordBody record;
    std::string_view message;
  };
  const Case cases[] = {
      {"a gap", entry(16, 7), "entry 16 follows entry 14"},
      {"a repeat", entry(14, 7), "entry 14 follows entry 14"},
      {"a term that falls", entry(15, 6), "entry 15 has term 6 behind term 7"},
      {"no configuration", entry(15, 7, "x", raft::EntryKind::configuration), "configuration"},
      {"truncation behind the end", Truncate{Index(16)}, "truncation from 16"},
      {"truncation of nothing at all", Truncate{Index(0)}, "truncation from 0"},
      {"truncation of what is committed", Truncate{Index(9)}, "committed to 9"},
      {"commit behind the end", committed(15), "committed to 15 in a log that ends at 14"},
  };
  for (const Case& one : cases) {
    LogShape shape = five_entries();
    const auto applied = shape.apply(one.record);
    ASSERT_FALSE(applied) << one.name;
    EXPECT_EQ(applied.error().code, Code::corrupt) << one.name;
    EXPECT_NE(applied.error().message.find(one.message), std::string::npos)
        << applied.error().message;
    EXPECT_EQ(shape.last_index(), Index(14)) << one.name;
  }
}

}  // namespace
}  // namespace doozer::storage
