// A connection over a whole machine: bytes in pieces of any size, writes applied at odd moments.
// The first byte chooses secrets, history and whether writes are taken.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/rng.h"
#include "door/door_testing.h"

namespace doozer {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kFuzzedBytesMax = 16 * kKiB;
  if (size == 0 || size > kFuzzedBytesMax) return 0;
  core::MachineOptions options;
  options.history_revisions = 1 + data[0] % 16;
  door::TestHost host(options);
  host.is_writable = data[0] != 0xFF;
  if (data[0] % 8 == 7) host.test_secrets = {"rw", "ro"};
  host.test_limits.outstanding_max = 4;
  host.test_limits.waits_max = 8;
  host.test_limits.unsent_soft = 200;
  host.test_limits.value_bytes_max = 1000;
  host.set("/a", "one");
  host.set("/d/b", "two");
  host.set("/d/c", "three");

  door::TestClient client(host);
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Rng rng(size * 256 + data[0]);
  const auto settle = [&] {
    switch (rng.below(6)) {
      case 0:
        if (host.writes() > 0) host.apply_one();
        break;
      case 1: host.settle(); break;
      case 2: host.answer_reads(); break;
      case 3:
        if (host.writes() > 0 && rng.chance(1, 8)) {
          host.end_one(door::WriteOutcome::Kind::unknown);
        }
        break;
      case 4: client.run(); break;
      default: client.door().set_unsent(rng.below(300)); break;
    }
  };
  while (!rest.empty() && !client.failed()) {
    const size_t piece = 1 + rng.below(rest.size());
    client.receive(rest.substr(0, piece));
    rest.remove_prefix(piece);
    settle();
  }
  // Whatever came, a half-closed connection comes to its end (or is cut after an unknown write).
  client.door().set_unsent(0);
  constexpr int kTurnsMax = 10'000;
  for (int turn = 0; turn < kTurnsMax && client.pending_bytes() > 0 && !client.failed(); ++turn) {
    const size_t before = client.pending_bytes();
    host.settle();
    host.answer_reads();
    client.run();
    if (client.pending_bytes() == before && !client.door().blocked()) break;
  }
  client.door().end_of_input();
  host.settle();
  host.answer_reads();
  client.run();
  CHECK(client.door().finished() || client.door().must_close());
  CHECK(host.machine().stats().waits == 0);
  return 0;
}

}  // namespace doozer
