// The bytes of a configuration: voters:u8 identity* old_voters:u8 identity*, each list sorted and
// without repeats, so that equal configurations have equal bytes.
#include "raft/types.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"

namespace doozer::raft {
namespace {

static_assert(kServersMax <= 255, "a list's length fits into one byte");

bool strictly_sorted(const std::vector<Identity>& list) {
  return std::adjacent_find(list.begin(), list.end(), [](const Identity& a, const Identity& b) {
           return a >= b;
         }) == list.end();
}

void encode_list(ByteWriter& writer, const std::vector<Identity>& list) {
  CHECK(list.size() <= kServersMax);
  CHECK(strictly_sorted(list));
  writer.u8(static_cast<uint8_t>(list.size()));
  for (const Identity& identity : list) writer.bytes(identity.view());
}

Result<std::vector<Identity>> decode_list(ByteReader& reader, std::string_view what) {
  const size_t count = reader.u8();
  if (count > kServersMax) {
    return fail(Code::corrupt, "configuration: " + std::to_string(count) + " " + std::string(what) +
                                   ", at most " + std::to_string(kServersMax) + " are allowed");
  }
  std::vector<Identity> list;
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view bytes = reader.bytes(Identity::kSize);
    if (reader.ok()) list.push_back(Identity::from_bytes(bytes));
  }
  if (!strictly_sorted(list)) {
    return fail(Code::corrupt, "configuration: " + std::string(what) + " are not in order");
  }
  return list;
}

}  // namespace

std::string encode_configuration(const Configuration& configuration) {
  CHECK(!configuration.voters.empty());
  std::string out;
  ByteWriter writer(out);
  encode_list(writer, configuration.voters);
  encode_list(writer, configuration.old_voters);
  return out;
}

Result<Configuration> decode_configuration(std::string_view bytes) {
  ByteReader reader(bytes);
  Configuration configuration;
  TRY_ASSIGN(configuration.voters, decode_list(reader, "voters"));
  TRY_ASSIGN(configuration.old_voters, decode_list(reader, "old voters"));
  if (!reader.done()) {
    return fail(Code::corrupt,
                "configuration: " + std::to_string(bytes.size()) + " bytes are not a whole one");
  }
  if (configuration.voters.empty()) return fail(Code::corrupt, "configuration: no voters");
  return configuration;
}

}  // namespace doozer::raft
