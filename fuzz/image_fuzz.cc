// Images: whatever the bytes, and wherever they are cut, loading ends in a Result; what loads is
// written again as an image that loads to the same machine, and the machine works.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "core/machine.h"

namespace doozer {
namespace {

/// The checksum of the head is put right, so that the fuzzer gets behind it.
void mend(std::string& image) {
  constexpr size_t kSizeAt = 12;
  constexpr size_t kCrcAt = 16;
  constexpr size_t kHeadAt = 20;
  if (image.size() < kHeadAt) {
    return;
  }
  const size_t size = ByteReader(std::string_view(image).substr(kSizeAt)).u32();
  if (size <= image.size() - kHeadAt) {
    overwrite_u32(image, kCrcAt, crc32c(std::string_view(image).substr(kHeadAt, size)));
  }
}

Result<void> load(core::Machine& machine, std::string_view image, size_t piece) {
  const auto reader = machine.read_image();
  for (size_t at = 0; at < image.size(); at += piece) {
    TRY(reader->add(image.substr(at, piece)));
  }
  return reader->finish();
}

std::string write(core::Machine& machine) {
  const auto writer = machine.write_image();
  std::string image;
  for (bool done = false; !done;) {
    Budget budget(kSliceSteps);
    const auto step = writer->next(4096, budget, image);
    CHECK(step.has_value());
    done = *step == core::ImageWriter::Step::done;
  }
  return image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  std::string image(reinterpret_cast<const char*>(data) + 1, size - 1);
  mend(image);
  const auto machine = core::Machine::make({});
  const Result<void> loaded = load(*machine, image, size_t{data[0]} + 1);
  if (!loaded) {
    CHECK(loaded.error().code == Code::corrupt || loaded.error().code == Code::unsupported);
    return 0;
  }
  const auto again = core::Machine::make({});
  CHECK(load(*again, write(*machine), 4096).has_value());
  CHECK(again->digests() == machine->digests());
  if (machine->applied() == Index(UINT64_MAX) || machine->revision() == Revision(INT64_MAX)) {
    return 0;
  }
  std::string nop;
  core::encode_command({.envelope = {}, .body = core::NopView{}}, nop);
  CHECK(machine->apply(machine->applied() + 1, nop).has_value());
  Budget budget(INT64_MAX);
  machine->run(budget);
  return 0;
}

}  // namespace doozer
