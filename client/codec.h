// What the library asks and hears, in its own words; codec.cc turns these into the bytes of
// wire/doozer.h and back, and the protocol's errors into Codes. No state, no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::client {

enum class Verb : uint8_t {
  get,
  set,
  del,
  rev,
  wait,
  nop,
  walk,
  getdir,
  stat,
  self,
  status,
  access
};

/// As people know it: "get", "ls" for getdir.
std::string_view verb_name(Verb verb);

/// One request but for what the connection adds.
struct Call {
  Verb verb = Verb::rev;
  std::string path = {};   ///< or the glob; sent by the verbs that have one
  std::string value = {};  ///< of set and access
  std::optional<int64_t> rev = {};
  std::optional<int32_t> offset = {};
};

/// What the connection adds.
struct Stamp {
  int32_t tag = 0;
  bool extensions = false;  ///< the server knows the fields below
  bool linearizable = false;
  int64_t min_rev = 0;  ///< 0: none
};

/// Appends the whole frame.
void encode_call(const Call& call, const Stamp& stamp, std::string& out);

/// One answer; views are borrowed from the frame.
struct AnswerView {
  int32_t tag = 0;
  int32_t flags = 0;
  int64_t rev = 0;
  int32_t len = 0;
  std::string_view path = {};
  std::string_view value = {};
  int64_t store_rev = 0;            ///< 0: the server told none
  std::string_view cluster = {};    ///< raw bytes of the identity; empty: the server told none
  std::optional<Error> error = {};  ///< in the server's words
};

/// The next frame of `bytes`. `size` becomes its whole size, 0 if it is not all there yet.
/// Errors: corrupt (bad bytes), too_large (kAnswerBytesMax), bad_argument (a negative length).
Result<AnswerView> decode_answer(std::string_view bytes, size_t& size);

}  // namespace doozer::client
