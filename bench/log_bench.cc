// What the log costs without a disk: gathering and sealing an entry, and reading a log back.
#include <benchmark/benchmark.h>

#include <map>
#include <string>

#include "base/check.h"
#include "storage/bytes_disk.h"
#include "storage/wal_format.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

Ownership owner() {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.fill(7);
  return {.cluster = Identity(bytes), .identity = Identity(bytes)};
}

/// One entry into a batch, with its share of the batch's sealing.
void gather_and_seal(benchmark::State& state) {
  const std::string payload(static_cast<size_t>(state.range(0)), 'v');
  const auto per_batch = static_cast<uint64_t>(state.range(1));
  const uint32_t seed = segment_seed(owner().cluster, owner().identity, 1);
  std::string batch;
  uint64_t index = 0;
  uint32_t chain = 1;
  for (auto _ : state) {
    batch.clear();
    begin_batch(batch);
    for (uint64_t i = 0; i < per_batch; ++i) {
      append_entry(batch, Index(++index), Term(1), raft::EntryKind::command, payload);
    }
    chain = seal_batch(batch,
                       {.number = 1,
                        .offset = 512,
                        .synced_to = 0,
                        .header_crc = 0,
                        .batch_bytes = 0,
                        .last_index = {}},
                       seed, chain);
    benchmark::DoNotOptimize(batch.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
  state.SetBytesProcessed(state.iterations() * state.range(1) * state.range(0));
}
BENCHMARK(gather_and_seal)->Args({256, 1})->Args({256, 64})->Args({4096, 64});

/// A segment of `entries`, 64 in a batch.
std::string make_segment(uint64_t entries, size_t payload_bytes) {
  const std::string payload(payload_bytes, 'v');
  const uint32_t seed = segment_seed(owner().cluster, owner().identity, 1);
  SegmentHeader header{.cluster = owner().cluster,
                       .identity = owner().identity,
                       .number = 1,
                       .file_bytes = 512,
                       .incarnation = Incarnation(1),
                       .previous = {},
                       .synced_to = 0,
                       .first_index = Index(1),
                       .previous_term = Term(0),
                       .state = {}};
  std::string file = encode_segment_header(header);
  const auto decoded = decode_segment_header(file);
  CHECK(decoded.has_value());
  uint32_t chain = decoded->crc;
  for (uint64_t index = 1; index <= entries;) {
    std::string batch;
    begin_batch(batch);
    for (int i = 0; i < 64 && index <= entries; ++i, ++index) {
      append_entry(batch, Index(index), Term(1), raft::EntryKind::command, payload);
    }
    chain = seal_batch(batch,
                       {.number = 1,
                        .offset = file.size(),
                        .synced_to = file.size(),
                        .header_crc = decoded->crc,
                        .batch_bytes = 0,
                        .last_index = Index(index - 1)},
                       seed, chain);
    file += batch;
  }
  return file;
}

constexpr uint64_t kEntries = 200'000;

void scan(benchmark::State& state) {
  BytesDisk disk(segment_path(1), make_segment(kEntries, static_cast<size_t>(state.range(0))));
  for (auto _ : state) {
    const auto scanned = scan_log(disk, owner());
    CHECK(scanned.has_value());
    CHECK(scanned->shape.last_index() == Index(kEntries));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(scan)->Arg(40)->Arg(256)->Unit(benchmark::kMillisecond);

void replay(benchmark::State& state) {
  BytesDisk disk(segment_path(1), make_segment(kEntries, static_cast<size_t>(state.range(0))));
  const auto scanned = scan_log(disk, owner());
  CHECK(scanned.has_value());
  const Index last = scanned->tail.first_index - 1;
  for (auto _ : state) {
    uint64_t bytes = 0;
    UniqueFunction<Result<void>(raft::Entry)> visit =
        [&bytes](const raft::Entry& entry) -> Result<void> {
      bytes += entry.payload.size();
      return {};
    };
    CHECK(replay_segments(disk, scanned->segments, Index(1), last, visit).has_value());
    benchmark::DoNotOptimize(bytes);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(last.value()));
}
BENCHMARK(replay)->Arg(40)->Arg(256)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace doozer::storage

BENCHMARK_MAIN();
