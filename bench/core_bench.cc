// The cost of the state machine: get, set, delete, walk, watches, images, and bytes per file.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "core/machine.h"

namespace doozer::core {
namespace {

constexpr int64_t kFiles = 1'000'000;

std::string path_of(int64_t number) {  // 32 bytes
  char path[48];
  std::snprintf(path, sizeof path, "/bench/directory-%05d/f-%07d", static_cast<int>(number / 1000),
                static_cast<int>(number));
  return path;
}

size_t heap_bytes() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void apply(Machine& machine, const BodyView& body, std::string& bytes) {
  bytes.clear();
  encode_command({.envelope = {}, .body = body}, bytes);
  const Result<Applied> applied = machine.apply(machine.applied() + 1, bytes);
  CHECK(applied.has_value());
}

std::unique_ptr<Machine> filled(int64_t files, int64_t history) {
  auto machine = Machine::make({.history_revisions = history});
  const std::string value(256, 'v');
  std::string bytes;
  for (int64_t i = 0; i < files; ++i) {
    const std::string path = path_of(i);
    apply(*machine, SetView{.path = path, .revision = 0, .value = value}, bytes);
  }
  return machine;
}

/// One million files, shared by those who do not mind what others left in it.
Machine& million() {
  static const std::unique_ptr<Machine> machine = [] {
    const size_t before = heap_bytes();
    auto made = filled(kFiles, 1);
    std::fprintf(stderr, "bytes of heap per file of 32 + 256 bytes: %.1f\n",
                 static_cast<double>(heap_bytes() - before) / kFiles);
    return made;
  }();
  return *machine;
}

void Get(benchmark::State& state) {
  const Machine& machine = million();
  Rng rng(1);
  std::vector<std::string> paths;
  for (int i = 0; i < 100'000; ++i) {
    paths.push_back(path_of(rng.between(0, kFiles - 1)));
  }
  size_t at = 0;
  for (auto unused : state) {
    benchmark::DoNotOptimize(machine.find(paths[at], std::nullopt));
    at = at + 1 == paths.size() ? 0 : at + 1;
  }
}
BENCHMARK(Get);

void SetOfExisting(benchmark::State& state) {
  Machine& machine = million();
  Rng rng(2);
  std::vector<std::string> commands(100'000);
  const std::string value(256, 'w');
  for (std::string& command : commands) {
    const std::string path = path_of(rng.between(0, kFiles - 1));
    const SetView set{.path = path, .revision = -1, .value = value};
    encode_command({.envelope = {}, .body = set}, command);
  }
  size_t at = 0;
  for (auto unused : state) {
    CHECK(machine.apply(machine.applied() + 1, commands[at]).has_value());
    at = at + 1 == commands.size() ? 0 : at + 1;
  }
}
BENCHMARK(SetOfExisting);

void CreateAndDelete(benchmark::State& state) {
  Machine& machine = million();
  Rng rng(3);
  std::string bytes;
  for (auto unused : state) {
    const std::string path = path_of(rng.between(0, kFiles - 1)) + "-new";
    apply(machine, SetView{.path = path, .revision = 0, .value = "v"}, bytes);
    apply(machine, DelView{.path = path, .revision = -1}, bytes);
  }
}
BENCHMARK(CreateAndDelete);

void WalkOffsetByOffset(benchmark::State& state) {
  const Machine& machine = million();
  const auto glob = std::make_shared<const Glob>(*Glob::compile("/bench/**"));
  auto cursor = machine.walk(glob, std::nullopt);
  uint64_t offset = 0;
  for (auto unused : state) {
    Budget budget(kSliceSteps);
    FileView file;
    const Seek seek = cursor->seek(offset, budget, file);
    offset = seek == Seek::end ? 0 : offset + 1;
  }
}
BENCHMARK(WalkOffsetByOffset);

/// One slice of a walk that finds nothing: what a turn of the loop pays.
void SparseWalkSlice(benchmark::State& state) {
  const Machine& machine = million();
  const auto glob = std::make_shared<const Glob>(*Glob::compile("/**/nothing"));
  auto cursor = machine.walk(glob, std::nullopt);
  for (auto unused : state) {
    Budget budget(kSliceSteps);
    FileView file;
    if (cursor->seek(0, budget, file) == Seek::end) {
      cursor = machine.walk(glob, std::nullopt);
    }
  }
}
BENCHMARK(SparseWalkSlice);

void ListDirectory(benchmark::State& state) {
  const Machine& machine = million();
  auto cursor = machine.list("/bench", std::nullopt);
  uint64_t offset = 0;
  for (auto unused : state) {
    Budget budget(kSliceSteps);
    std::string_view name;
    offset = cursor->seek(offset, budget, name) == Seek::end ? 0 : offset + 1;
  }
}
BENCHMARK(ListDirectory);

class Deaf final : public Waiter {
 public:
  void on_event(WatchId, uint64_t, const EventView&, uint32_t) override {}
  void on_revision(WatchId, uint64_t) override {}
  void on_too_late(WatchId, uint64_t, Revision) override {}
};

/// A SET while `waiters` wait for other paths, half of them by globs.
void SetBesideWaiters(benchmark::State& state) {
  auto machine = filled(1000, 1);
  Deaf deaf;
  const size_t before = heap_bytes();
  for (int64_t i = 0; i < state.range(0); ++i) {
    const std::string path = path_of(2'000'000 + i) + (i % 2 == 0 ? "" : "*");
    const auto glob = std::make_shared<const Glob>(*Glob::compile(path));
    machine->watches().wait_event(glob, {.revision = machine->revision() + 1, .sub = 0}, 0, deaf,
                                  0);
  }
  if (state.range(0) > 0) {
    state.counters["bytes_per_waiter"] =
        static_cast<double>(heap_bytes() - before) / static_cast<double>(state.range(0));
  }
  constexpr int kCommandsPerTurn = 32;
  const std::string value(256, 'w');
  const std::string path = path_of(7);
  std::string bytes;
  int commands = 0;
  for (auto unused : state) {
    apply(*machine, SetView{.path = path, .revision = -1, .value = value}, bytes);
    if (++commands % kCommandsPerTurn == 0) {
      Budget budget(kSliceSteps);
      machine->run(budget);
    }
  }
}
BENCHMARK(SetBesideWaiters)->Arg(0)->Arg(100'000);

/// Beginning and giving up waits, each for a glob of its own, half of them literal.
void WaitAndCancel(benchmark::State& state) {
  auto machine = filled(10, 1);
  Deaf deaf;
  std::vector<std::shared_ptr<const Glob>> globs;
  for (int64_t i = 0; i < state.range(0); ++i) {
    const std::string path = path_of(i) + (i % 2 == 0 ? "" : "*");
    globs.push_back(std::make_shared<const Glob>(*Glob::compile(path)));
  }
  std::vector<WatchId> ids;
  for (auto unused : state) {
    ids.clear();
    for (const auto& glob : globs) {
      ids.push_back(machine->watches().wait_event(
          glob, {.revision = machine->revision() + 1, .sub = 0}, 0, deaf, 0));
    }
    for (const WatchId id : ids) machine->watches().cancel(id);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(WaitAndCancel)->Arg(1000)->Arg(100'000);

/// One event for `waiters` of one glob: registering, matching and telling, each waiter.
void FanOut(benchmark::State& state) {
  auto machine = filled(10, 1);
  Deaf deaf;
  const auto glob = std::make_shared<const Glob>(*Glob::compile("/bench/**"));
  const std::string path = path_of(7);
  std::string bytes;
  for (auto unused : state) {
    for (int64_t i = 0; i < state.range(0); ++i) {
      machine->watches().wait_event(glob, {.revision = machine->revision() + 1, .sub = 0}, 0, deaf,
                                    0);
    }
    apply(*machine, SetView{.path = path, .revision = -1, .value = "v"}, bytes);
    Budget budget(INT64_MAX);
    machine->run(budget);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(FanOut)->Arg(1000)->Arg(100'000);

void WriteAndLoadImage(benchmark::State& state) {
  Machine& machine = million();
  std::vector<std::string> pieces;
  const auto writer = machine.write_image();
  for (bool done = false; !done;) {
    pieces.emplace_back();
    Budget budget(INT64_MAX);
    const auto step = writer->next(kSnapshotChunkBytes, budget, pieces.back());
    CHECK(step.has_value());
    done = *step == ImageWriter::Step::done;
  }
  for (auto unused : state) {
    auto loaded = Machine::make({});
    const auto reader = loaded->read_image();
    for (const std::string& piece : pieces) {
      CHECK(reader->add(piece).has_value());
    }
    CHECK(reader->finish().has_value());
    state.PauseTiming();
    loaded.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(WriteAndLoadImage)->Unit(benchmark::kMillisecond)->Iterations(3);

void HistoryMemory(benchmark::State& state) {
  for (auto unused : state) {
    auto machine = filled(10'000, kHistoryRevisions);
    const std::string value(256, 'w');
    std::string bytes;
    const size_t before = heap_bytes();
    for (int64_t i = 0; i < kHistoryRevisions; ++i) {
      const std::string path = path_of(i % 10'000);
      apply(*machine, SetView{.path = path, .revision = -1, .value = value}, bytes);
    }
    state.counters["MB_of_history"] = static_cast<double>(heap_bytes() - before) / 1e6;
  }
}
BENCHMARK(HistoryMemory)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace doozer::core

BENCHMARK_MAIN();
