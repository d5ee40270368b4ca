// The machine under arbitrary commands: two machines agree, one of them through an image and with a
// short history; an error changes nothing; every listing ends. Input: commands, each after two
// bytes of length.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "core/machine.h"

namespace doozer {
namespace {

class Deaf final : public core::Waiter {
 public:
  void on_event(core::WatchId, uint64_t, const core::EventView&, uint32_t) override {}
  void on_revision(core::WatchId, uint64_t) override {}
  void on_too_late(core::WatchId, uint64_t, Revision) override {}
};

uint64_t count_files(const core::Machine& machine, std::optional<Revision> at) {
  const auto cursor =
      machine.walk(std::make_shared<const core::Glob>(*core::Glob::compile("/**")), at);
  uint64_t count = 0;
  for (;;) {
    Budget budget(kSliceSteps);
    core::FileView file;
    const core::Seek seek = cursor->seek(count, budget, file);
    if (seek == core::Seek::end) {
      return count;
    }
    CHECK(seek != core::Seek::too_late);
    count += seek == core::Seek::found ? 1 : 0;
  }
}

/// The rules of slots and register that hold whatever came.
void check_membership(const core::Machine& machine) {
  CHECK(machine.members().size() <= core::kRegisterMax);
  const std::vector<core::SlotView> slots = machine.slots();
  CHECK(slots.size() <= kSlotsMax);
  for (const core::SlotView& slot : slots) {
    const core::Found found = machine.find(slot.path, std::nullopt);
    CHECK(found.kind == core::Found::Kind::file);
    CHECK(found.file.revision == slot.revision && found.file.value == slot.value);
  }
}

std::unique_ptr<core::Machine> copy(core::Machine& machine) {
  auto copied = core::Machine::make({.history_revisions = 2});
  const auto writer = machine.write_image();
  const auto reader = copied->read_image();
  for (bool done = false; !done;) {
    Budget budget(kSliceSteps);
    std::string piece;
    const auto step = writer->next(1000, budget, piece);
    CHECK(step.has_value());
    CHECK(reader->add(piece).has_value());
    done = *step == core::ImageWriter::Step::done;
  }
  CHECK(reader->finish().has_value());
  CHECK(copied->digests() == machine.digests());
  CHECK(copied->members().entries() == machine.members().entries());
  CHECK(copied->cluster_version() == machine.cluster_version());
  return copied;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto machine = core::Machine::make({.history_revisions = 4, .match_work = 64});
  auto other = core::Machine::make({.history_revisions = 2});
  Deaf deaf;
  const auto glob = std::make_shared<const core::Glob>(*core::Glob::compile("/a**"));
  ByteReader input({reinterpret_cast<const char*>(data), size});
  for (int i = 0; i < 200 && !input.empty(); ++i) {
    const uint16_t length = static_cast<uint16_t>(input.u8() | input.u8() << 8U);
    const std::string_view command = input.bytes(std::min<size_t>(length, input.rest().size()));
    const core::Digests before = machine->digests();
    const auto applied = machine->apply(machine->applied() + 1, command);
    if (!applied) {
      CHECK(applied.error().code == Code::corrupt || applied.error().code == Code::unsupported);
      CHECK(machine->digests() == before);
      CHECK(!other->apply(other->applied() + 1, command).has_value());
      continue;
    }
    if (machine->revision().value() % 3 == 0) {
      machine->watches().wait_event(glob, {machine->oldest(), 0}, 1, deaf, 0);
    }
    CHECK(other->apply(other->applied() + 1, command).has_value());
    CHECK(other->digests() == machine->digests());
    if (i % 16 == 7) {
      other = copy(*other);
    }
    Budget budget(i % 8);
    machine->run(budget);
  }
  check_membership(*machine);
  CHECK(count_files(*machine, std::nullopt) == machine->stats().files);
  if (machine->revision() > Revision(0)) {
    CHECK(count_files(*machine, machine->revision()) == machine->stats().files);
    count_files(*machine, machine->oldest());
  }
  return 0;
}

}  // namespace doozer
