// The cost of one committed entry of 256 bytes in the consensus core alone: three cores in memory,
// messages handed over as bytes, disks that sync at once. Items are entries; the time is that of
// all three servers.
#include <benchmark/benchmark.h>

#include <deque>
#include <string>
#include <vector>

#include "base/check.h"
#include "raft/core.h"

namespace doozer::raft {
namespace {

constexpr size_t kServers = 3;

Identity server(size_t n) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = static_cast<uint8_t>(n + 1);
  return Identity(bytes);
}

class Cluster {
 public:
  explicit Cluster(bool as_bytes) : as_bytes_(as_bytes) {
    Configuration all;
    for (size_t n = 0; n < kServers; ++n) all.voters.push_back(server(n));
    for (size_t n = 0; n < kServers; ++n) {
      CoreOptions options;
      options.self = server(n);
      options.configurations = {{.index = Index(1), .configuration = all}};
      options.hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)};
      options.last_index = Index(1);
      options.last_term = Term(1);
      options.applied = Index(1);
      cores_.push_back(Core::make(std::move(options)));
    }
    now_us_ = 1'000'000;
    step(0, Tick{});
    settle();
    CHECK(leader().role() == Role::leader);
  }

  void propose(size_t batch, size_t size) {
    Propose proposals;
    proposals.proposals.resize(batch);
    for (Proposal& proposal : proposals.proposals) proposal.payload.assign(size, 'v');
    step(0, std::move(proposals));
    settle();
  }

  const Core& leader() const { return cores_[0]; }

 private:
  struct Letter {
    size_t from = 0;
    size_t to = 0;
    std::string bytes;
    Message message;
  };

  void step(size_t n, Event event) {
    Core& core = cores_[n];
    const Output out = core.step({.now_us = now_us_, .event = std::move(event)});
    for (const Send& send : out.sends) {
      Letter& letter = letters_.emplace_back();
      letter.from = n;
      letter.to = send.to.bytes()[0] - 1U;
      if (as_bytes_) {
        encode_message(send, core, letter.bytes);
      } else {
        letter.message = to_message(send, core);
      }
    }
    if (out.persist_sequence != 0) step(n, Persisted{out.persist_sequence});
    if (core.applied() < core.commit()) step(n, AppliedTo{core.commit()});
  }

  void settle() {
    while (!letters_.empty()) {
      Letter letter = std::move(letters_.front());
      letters_.pop_front();
      if (as_bytes_) letter.message = *decode_message(letter.bytes);
      step(letter.to, Receive{.from = server(letter.from),
                              .from_incarnation = Incarnation(1),
                              .message = std::move(letter.message)});
    }
  }

  bool as_bytes_;
  std::vector<Core> cores_;
  std::deque<Letter> letters_;
  uint64_t now_us_ = 0;
};

/// Arguments: entries of a batch, 1 if messages are encoded and decoded.
void CommitEntries(benchmark::State& state) {
  const auto batch = static_cast<size_t>(state.range(0));
  Cluster cluster(state.range(1) != 0);
  const Index before = cluster.leader().commit();
  for (auto unused : state) cluster.propose(batch, 256);
  CHECK(cluster.leader().commit() - before == static_cast<uint64_t>(state.iterations()) * batch);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(CommitEntries)->Args({1, 0})->Args({64, 0})->Args({1, 1})->Args({64, 1});

void CommitAlone(benchmark::State& state) {
  CoreOptions options;
  options.self = server(0);
  options.configurations = {
      {.index = Index(1), .configuration = {.voters = {server(0)}, .old_voters = {}}}};
  options.hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)};
  options.last_index = Index(1);
  options.last_term = Term(1);
  options.applied = Index(1);
  Core core = Core::make(std::move(options));
  core.step({.now_us = 1, .event = Tick{}});
  core.step({.now_us = 1, .event = Persisted{1}});
  core.step({.now_us = 1, .event = Persisted{2}});
  for (auto unused : state) {
    Propose one;
    one.proposals.push_back({.kind = EntryKind::command, .payload = std::string(256, 'v')});
    const Output out = core.step({.now_us = 1, .event = std::move(one)});
    core.step({.now_us = 1, .event = Persisted{out.persist_sequence}});
    core.step({.now_us = 1, .event = AppliedTo{core.commit()}});
  }
}
BENCHMARK(CommitAlone);

}  // namespace
}  // namespace doozer::raft

BENCHMARK_MAIN();
