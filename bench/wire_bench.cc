// What one request costs before and behind the network: the codec, globs, and a whole door over a
// machine. Run alone on an idle machine; figures are nanoseconds of one thread.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/glob.h"
#include "core/path.h"
#include "door/door_testing.h"
#include "wire/doozer.h"

namespace doozer {
namespace {

constexpr size_t kBatch = 64;  ///< requests that come in one piece
constexpr size_t kValueBytes = 256;
constexpr int kFiles = 10'000;

std::string path_of(int i) {
  return "/app/service-" + std::to_string(i % 100) + "/node-" + std::to_string(i);
}

void decode_get(benchmark::State& state) {
  const std::string frame = door::get(path_of(7)).tag(7).frame();
  const std::string_view body = std::string_view(frame).substr(wire::kHeadBytes);
  for (auto _ : state) {
    auto request = wire::decode_request(body);
    benchmark::DoNotOptimize(request);
  }
}
BENCHMARK(decode_get);

void encode_answer(benchmark::State& state) {
  const std::string value(kValueBytes, 'v');
  std::string out;
  for (auto _ : state) {
    wire::ResponseView response;
    response.tag = 7;
    response.rev = 123'456;
    response.value = value;
    wire::append_response(response, out);
    if (out.size() > kMiB) out.clear();
  }
}
BENCHMARK(encode_answer);

void glob_match(benchmark::State& state, const char* pattern, const char* path) {
  const core::Glob glob = core::Glob::compile(pattern).value();
  const std::string text(path);
  for (auto _ : state) benchmark::DoNotOptimize(glob.matches(text));
}
BENCHMARK_CAPTURE(glob_match, prefix, "/app/**", "/app/service-7/node-7");
BENCHMARK_CAPTURE(glob_match, name, "/app/service-7/*", "/app/service-7/node-7");
BENCHMARK_CAPTURE(glob_match, middle, "/app/*/node-7", "/app/service-7/node-7");
BENCHMARK_CAPTURE(glob_match, across, "/**/node-7", "/app/service-7/node-7");

void glob_worst(benchmark::State& state) {
  std::string pattern = "/";
  while (pattern.size() + 3 < kPathBytesMax) pattern += "**a";
  const core::Glob glob = core::Glob::compile(pattern + "b").value();
  const std::string path = "/" + std::string(kPathBytesMax - 1, 'a');
  for (auto _ : state) benchmark::DoNotOptimize(glob.matches(path));
}
BENCHMARK(glob_worst);

void check_path(benchmark::State& state) {
  const std::string path = path_of(7);
  for (auto _ : state) benchmark::DoNotOptimize(core::is_file_path(path));
}
BENCHMARK(check_path);

void fill(door::TestHost& host) {
  const std::string value(kValueBytes, 'v');
  for (int i = 0; i < kFiles; ++i) host.set(path_of(i), value);
  host.run_machine();
}

/// Hands the door one batch after the other; `between` runs after each.
template <typename Between>
void run_door(benchmark::State& state, const std::vector<std::string>& batches,
              door::TestClient& client, Between between) {
  size_t next = 0;
  for (auto _ : state) {
    const auto taken = client.door().receive(batches[next]);
    CHECK(taken.value() == batches[next].size());
    next = (next + 1) % batches.size();
    between();
    client.door().output().clear();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBatch));
}

template <typename MakeAsk>
std::vector<std::string> batches_of(MakeAsk make) {
  std::vector<std::string> batches(kFiles / kBatch);
  int i = 0;
  for (std::string& batch : batches) {
    for (size_t j = 0; j < kBatch; ++j, i += 7) batch += make(i % kFiles).tag(i).frame();
  }
  return batches;
}

void door_get(benchmark::State& state) {
  door::TestHost host;
  fill(host);
  door::TestClient client(host);
  run_door(state, batches_of([](int i) { return door::get(path_of(i)); }), client, [] {});
}
BENCHMARK(door_get);

void door_rev(benchmark::State& state) {
  door::TestHost host;
  door::TestClient client(host);
  run_door(state, batches_of([](int) { return door::rev(); }), client, [] {});
}
BENCHMARK(door_rev);

/// Includes the encoded command and its application: everything but the log and the network.
void door_set_and_apply(benchmark::State& state) {
  door::TestHost host;
  fill(host);
  door::TestClient client(host);
  const std::string value(kValueBytes, 'w');
  run_door(state, batches_of([&](int i) { return door::set(path_of(i), -1, value); }), client,
           [&] { host.settle(); });
}
BENCHMARK(door_set_and_apply);

/// A refused SET costs the door's part and no application.
void door_set_refused(benchmark::State& state) {
  door::TestHost host;
  fill(host);
  host.is_writable = false;
  door::TestClient client(host);
  run_door(state, batches_of([](int i) { return door::set(path_of(i), -1, "x"); }), client, [] {});
}
BENCHMARK(door_set_refused);

void door_walk(benchmark::State& state) {
  door::TestHost host;
  fill(host);
  door::TestClient client(host);
  int32_t offset = 0;
  for (auto _ : state) {
    const auto taken = client.door().receive(door::walk("/app/**", offset).tag(1).frame());
    benchmark::DoNotOptimize(taken);
    client.run();
    client.all();
    offset = (offset + 1) % kFiles;
  }
}
BENCHMARK(door_walk);

}  // namespace
}  // namespace doozer

BENCHMARK_MAIN();
