#include "storage/wal_format.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace doozer::storage {
namespace {

Identity id(uint8_t fill) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.fill(fill);
  return Identity(bytes);
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<uint8_t>(c) >> 4U];
    out += kDigits[static_cast<uint8_t>(c) & 15U];
  }
  return out;
}

SegmentHeader test_header() {
  return {.cluster = id(0xAA),
          .identity = id(0xBB),
          .number = 7,
          .file_bytes = 65536,
          .incarnation = Incarnation(3),
          .previous = {.number = 5, .end = 1024, .crc = 0x01020304},
          .synced_to = 2048,
          .first_index = Index(42),
          .previous_term = Term(9),
          .state = {.raft = {.term = Term(10), .vote = id(0xCC), .commit = Index(40)},
                    .doubtful_to = Index(55)}};
}

const uint32_t kSeed = segment_seed(id(0xAA), id(0xBB), 7);

Marker test_marker() {
  return {.number = 7,
          .offset = 1024,
          .synced_to = 1024,
          .header_crc = 0xDEADBEEF,
          .batch_bytes = 0,
          .last_index = Index(43)};
}

/// The checksums were worked out from docs/wal-format.md by another program.
TEST(WalFormat, GoldenBytesOfEachRecord) {
  const std::string sector = encode_segment_header(test_header());
  EXPECT_EQ(sector.size(), kSectorBytes);
  EXPECT_EQ(hex(sector.substr(0, kHeaderRecordBytes)),
            "954d95cc"
            "86000000"
            "01"
            "444f4f5a5257414c"
            "01000000"
            "aaaaaaaaaaaaaaaaaaaa"
            "bbbbbbbbbbbbbbbbbbbb"
            "0700000000000000"
            "0000010000000000"
            "0300000000000000"
            "0500000000000000"
            "0004000000000000"
            "04030201"
            "0008000000000000"
            "2a00000000000000"
            "0900000000000000"
            "0a00000000000000"
            "cccccccccccccccccccc"
            "2800000000000000"
            "3700000000000000");
  std::string batch;
  begin_batch(batch);
  append_entry(batch, Index(42), Term(10), raft::EntryKind::command, "hi");
  append_entry(batch, Index(43), Term(10), raft::EntryKind::configuration, "c");
  append_hard_state(batch, test_header().state);
  append_truncate(batch, Index(43));
  const size_t size = batch.size();
  seal_batch(batch, test_marker(), kSeed, 1);
  EXPECT_EQ(batch.size(), kSectorBytes);
  EXPECT_EQ(hex(batch.substr(0, size)),
            "9d53949c"
            "38000000"
            "02"
            "646f6f7a73796e63"
            "0700000000000000"
            "0004000000000000"
            "0004000000000000"
            "efbeadde"
            "b4000000"
            "2b00000000000000"
            "00000000"
            "40f0562e"
            "415651a4"
            "13000000"
            "03"
            "2a00000000000000"
            "0a00000000000000"
            "01"
            "6869"
            "cbddf64e"
            "12000000"
            "04"
            "2b00000000000000"
            "0a00000000000000"
            "03"
            "63"
            "54ba5b8a"
            "22000000"
            "05"
            "0a00000000000000"
            "cccccccccccccccccccc"
            "2800000000000000"
            "3700000000000000"
            "f1844acb"
            "08000000"
            "06"
            "2b00000000000000");
}

TEST(WalFormat, AHeaderComesBack) {
  const auto decoded = decode_segment_header(encode_segment_header(test_header()));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->header, test_header());
}

TEST(WalFormat, EveryFlippedBitOfAHeaderIsSeen) {
  const std::string good = encode_segment_header(test_header());
  for (size_t bit = 0; bit < kHeaderRecordBytes * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_segment_header(bad)) << bit;
  }
  for (size_t size = 0; size < kHeaderRecordBytes; ++size) {
    EXPECT_FALSE(decode_segment_header(good.substr(0, size))) << size;
  }
}

TEST(WalFormat, HeadersThatCheckAndCannotBeAreRefused) {
  struct Case {
    const char* name;
    std::function<void(SegmentHeader&)> spoil;
  };
  const Case cases[] = {
      {"number 0", [](SegmentHeader& h) { h.number = 0; }},
      {"linked to itself", [](SegmentHeader& h) { h.previous.number = h.number; }},
      {"linked forward", [](SegmentHeader& h) { h.previous.number = h.number + 1; }},
      {"first index 0", [](SegmentHeader& h) { h.first_index = Index(0); }},
  };
  for (const Case& one : cases) {
    SegmentHeader header = test_header();
    one.spoil(header);
    const auto decoded = decode_segment_header(encode_segment_header(header));
    ASSERT_FALSE(decoded) << one.name;
    EXPECT_EQ(decoded.error().code, Code::corrupt) << one.name;
  }
}

/// Changes a byte of a record and makes its crc right again.
std::string forge(std::string bytes, size_t at, char value, uint32_t seed) {
  bytes[at] = value;
  const auto size = static_cast<size_t>(record_size(bytes).value_or(0));
  overwrite_u32(bytes, 0, crc32c(std::string_view(bytes).substr(4, size - 4), seed));
  return bytes;
}

TEST(WalFormat, ANewerFormatIsUnsupportedNotDamaged) {
  const std::string newer = forge(encode_segment_header(test_header()), 17, 2, kSeed);
  const auto decoded = decode_segment_header(newer);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Code::unsupported);
}

TEST(WalFormat, RecordsComeBackInTheChain) {
  std::string batch;
  begin_batch(batch);
  append_entry(batch, Index(42), Term(10), raft::EntryKind::noop, "");
  append_hard_state(batch, test_header().state);
  append_truncate(batch, Index(43));
  const size_t size = batch.size();
  const uint32_t end = seal_batch(batch, test_marker(), kSeed, 77);
  uint32_t chain = 77;
  std::vector<RecordBody> bodies;
  for (size_t at = 0; at < size;) {
    const auto record = decode_record(std::string_view(batch).substr(at, size - at), chain);
    ASSERT_TRUE(record) << record.error().message;
    chain = record->crc;
    at += record->size;
    bodies.push_back(record->body);
  }
  EXPECT_EQ(chain, end);
  ASSERT_EQ(bodies.size(), 4U);
  Marker marker = test_marker();
  marker.batch_bytes = static_cast<uint32_t>(size);
  EXPECT_EQ(std::get<Marker>(bodies[0]), marker);
  EXPECT_EQ(
      std::get<EntryView>(bodies[1]).keep(),
      (raft::Entry{
          .index = Index(42), .term = Term(10), .kind = raft::EntryKind::noop, .payload = {}}));
  EXPECT_EQ(std::get<DurableState>(bodies[2]), test_header().state);
  EXPECT_EQ(std::get<Truncate>(bodies[3]).from, Index(43));
}

TEST(WalFormat, ARecordOfAnotherChainDoesNotCheck) {
  std::string batch;
  begin_batch(batch);
  seal_batch(batch, test_marker(), kSeed, 1);
  EXPECT_TRUE(decode_record(batch, 1));
  EXPECT_FALSE(decode_record(batch, 2));
}

TEST(WalFormat, EveryFlippedOrMissingBitOfARecordIsSeen) {
  std::string batch;
  begin_batch(batch);
  append_entry(batch, Index(42), Term(10), raft::EntryKind::command, "value");
  seal_batch(batch, test_marker(), kSeed, 1);
  const auto marker = decode_record(batch, 1);
  ASSERT_TRUE(marker);
  const std::string good = batch.substr(marker->size, kEntryOverheadBytes + 5);
  ASSERT_TRUE(decode_record(good, marker->crc));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_record(bad, marker->crc)) << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_record(good.substr(0, size), marker->crc)) << size;
  }
}

TEST(WalFormat, RecordsThatCheckAndCannotBeAreRefused) {
  std::string entry;
  append_entry(entry, Index(42), Term(10), raft::EntryKind::command, "");
  std::string state;
  append_hard_state(state, {});
  std::string truncate;
  append_truncate(truncate, Index(1));
  std::string marker;
  begin_batch(marker);
  seal_batch(marker, test_marker(), kSeed, 5);
  struct Case {
    const char* name;
    std::string bytes;
    Code code;
  };
  const std::string shorter = [&] {
    std::string bytes = state.substr(0, state.size() - 1);
    overwrite_u32(bytes, 4, static_cast<uint32_t>(bytes.size() - kRecordHeadBytes));
    return bytes;
  }();
  const Case cases[] = {
      {"unknown type", forge(entry, 8, 99, 5), Code::unsupported},
      {"a second header", forge(entry, 8, 1, 5), Code::corrupt},
      {"entry of an unknown kind", forge(entry, 25, 9, 5), Code::unsupported},
      {"command as configuration", forge(entry, 8, 4, 5), Code::corrupt},
      {"configuration as entry", forge(entry, 25, 3, 5), Code::corrupt},
      {"short hard state", forge(shorter, 8, 5, 5), Code::corrupt},
      {"truncation as hard state", forge(truncate, 8, 5, 5), Code::corrupt},
      {"truncation as entry", forge(truncate, 8, 3, 5), Code::corrupt},
      {"hard state as truncation", forge(state, 8, 6, 5), Code::corrupt},
      {"marker without its magic", forge(marker, 9, 'x', 5), Code::corrupt},
      {"marker of an empty batch", forge(marker, 45, 1, 5), Code::corrupt},
      {"marker of a giant batch", forge(marker, 48, 0x7F, 5), Code::corrupt},
  };
  for (const Case& one : cases) {
    const auto record = decode_record(one.bytes, 5);
    ASSERT_FALSE(record) << one.name;
    EXPECT_EQ(record.error().code, one.code) << one.name << ": " << record.error().message;
  }
}

TEST(WalFormat, AMarkerIsFoundByItselfAndOnlyInItsPlace) {
  std::string batch;
  begin_batch(batch);
  seal_batch(batch, test_marker(), kSeed, 123456);
  const auto found = find_marker(batch, kSeed, 7, 1024);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->synced_to, 1024U);
  EXPECT_EQ(found->last_index, Index(43));
  EXPECT_FALSE(find_marker(batch, kSeed, 8, 1024));
  EXPECT_FALSE(find_marker(batch, kSeed, 7, 1536));
  EXPECT_FALSE(find_marker(batch, kSeed + 1, 7, 1024));
  EXPECT_FALSE(
      find_marker(std::string_view(batch).substr(0, kMarkerRecordBytes - 1), kSeed, 7, 1024));
  EXPECT_FALSE(find_marker(std::string(kSectorBytes, '\0'), kSeed, 7, 1024));
  for (size_t at = kRecordHeadBytes; at < kMarkerRecordBytes; ++at) {
    std::string bad = batch;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_FALSE(find_marker(bad, kSeed, 7, 1024)) << at;
  }
}

TEST(WalFormat, NamesOfSegments) {
  EXPECT_EQ(segment_path(7), "log/0000000000000007.wal");
  EXPECT_EQ(parse_segment_name("0000000000000007.wal"), 7U);
  EXPECT_EQ(parse_segment_name("9999999999999999.wal"), 9'999'999'999'999'999U);
  for (const char* name :
       {"", "7.wal", "0000000000000000.wal", "0000000000000007.wal.tmp", "000000000000000x.wal",
        "0000000000000007.snap", "00000000000000007.wal"}) {
    EXPECT_FALSE(parse_segment_name(name)) << name;
  }
}

TEST(WalFormat, AMarkerTellsHowManySectorsOfItsBatchAreZero) {
  // 40 KB of zeros, and a value whose last sector holds a single byte.
  std::string batch;
  begin_batch(batch);
  append_entry(batch, Index(1), Term(1), raft::EntryKind::command, std::string(40'000, '\0'));
  append_entry(batch, Index(2), Term(1), raft::EntryKind::command, std::string(1'500, 'x'));
  seal_batch(batch, test_marker(), kSeed, 1);
  const auto marker = find_marker(batch, kSeed, 7, 1024);
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->zero_sectors, zero_sectors(batch));
  EXPECT_EQ(marker->zero_sectors, 77U);
}

TEST(WalFormat, Sectors) {
  EXPECT_EQ(zero_sectors(""), 0U);
  EXPECT_EQ(zero_sectors(std::string(1, '\0')), 1U);
  EXPECT_EQ(zero_sectors(std::string(511, '\0') + 'x' + std::string(513, '\0')), 2U);
  EXPECT_EQ(zero_sectors('x' + std::string(1'023, '\0')), 1U);
  EXPECT_EQ(align_sector(0), 0U);
  EXPECT_EQ(align_sector(1), 512U);
  EXPECT_EQ(align_sector(512), 512U);
  EXPECT_EQ(align_sector(513), 1024U);
}

}  // namespace
}  // namespace doozer::storage
