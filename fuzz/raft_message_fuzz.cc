// The bytes of a message between members, and a follower that gets it: the reader never breaks and
// never invents; whatever it lets through, a core can be told. Input: messages, each behind two
// bytes of length.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "raft/core.h"
#include "raft/invariants.h"

namespace doozer::raft {
namespace {

Identity server(uint8_t n) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = n;
  return Identity(bytes);
}

Core follower() {
  CoreOptions options;
  options.self = server(1);
  options.configurations = {
      {.index = Index(1),
       .configuration = {.voters = {server(1), server(2), server(3)}, .old_voters = {}}}};
  options.hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)};
  options.last_index = Index(1);
  options.last_term = Term(1);
  options.applied = Index(1);
  return Core::make(std::move(options));
}

void tell(Core& core, std::string_view bytes) {
  auto message = decode_message(bytes);
  if (!message) return;
  std::string again;
  encode_message(*message, again);
  const auto same = decode_message(again);
  CHECK(same.has_value());
  CHECK(*same == *message);
  Output out = core.step(
      {.now_us = 1'000,
       .event = Receive{
           .from = server(2), .from_incarnation = Incarnation(1), .message = std::move(*message)}});
  if (out.persist_sequence != 0) {
    core.step({.now_us = 2'000, .event = Persisted{out.persist_sequence}});
  }
  CHECK(!check(core));
}

}  // namespace
}  // namespace doozer::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  doozer::ByteReader reader({reinterpret_cast<const char*>(data), size});
  doozer::raft::Core core = doozer::raft::follower();
  while (!reader.empty()) {
    const size_t wanted = reader.u16();
    if (!reader.ok()) break;
    const size_t length = wanted < reader.rest().size() ? wanted : reader.rest().size();
    doozer::raft::tell(core, reader.bytes(length));
  }
  return 0;
}
