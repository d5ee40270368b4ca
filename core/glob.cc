#include "core/glob.h"

#include <array>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/check.h"
#include "base/limits.h"
#include "core/path.h"

namespace doozer::core {
namespace {

constexpr size_t kWordBits = 64;
constexpr size_t kWordsPerStep = 512;  // so many word operations take half a microsecond
constexpr size_t kWordsMax = kPathBytesMax / kWordBits + 1;
/// Stands in for `?` and for padding: no byte of valid UTF-8.
constexpr char kNoByte = '\xFF';

/// Bit i: bytes[i] == byte, for i below 64.
uint64_t equal_mask(const char* bytes, char byte) {
#if defined(__SSE2__)
  const __m128i wanted = _mm_set1_epi8(byte);
  uint64_t mask = 0;
  for (unsigned i = 0; i < kWordBits; i += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
    const auto bits = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, wanted)));
    mask |= uint64_t{bits} << i;
  }
  return mask;
#else
  uint64_t mask = 0;
  for (unsigned i = 0; i < kWordBits; ++i) mask |= uint64_t{bytes[i] == byte} << i;
  return mask;
#endif
}

void set_bit(std::vector<uint64_t>& words, size_t bit) {
  words[bit / kWordBits] |= uint64_t{1} << (bit % kWordBits);
}

/// Its begin, to be told from others, and what is wrong; all of it would say no more.
std::string too_long(std::string_view pattern) {
  constexpr size_t kShown = 60;
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(pattern[end]) & 0xC0U) == 0x80U) --end;
  return "invalid glob pattern: " + std::string(pattern.substr(0, end)) + "... has " +
         std::to_string(pattern.size()) + " bytes, the limit is " + std::to_string(kPathBytesMax);
}

bool is_wildcard(char byte) { return byte == '*' || byte == '?'; }

}  // namespace

Result<Glob> Glob::compile(std::string_view pattern) {
  if (pattern.size() > kPathBytesMax) return fail(Code::bad_glob, too_long(pattern));
  std::string filled(pattern);
  for (char& byte : filled) {
    if (is_wildcard(byte)) byte = 'x';
  }
  if (filled != "/" && !is_file_path(filled)) {
    return fail(Code::bad_glob, "invalid glob pattern: " + std::string(pattern));
  }

  Glob glob;
  glob.pattern_ = pattern;
  while (glob.literal_prefix_size_ < pattern.size() &&
         !is_wildcard(pattern[glob.literal_prefix_size_])) {
    ++glob.literal_prefix_size_;
  }
  const std::string_view rest = pattern.substr(glob.literal_prefix_size_);
  glob.literal_ = rest.empty();
  if (glob.literal_) return glob;
  if (rest == "*" || rest == "**") {
    glob.shape_ = rest == "*" ? Shape::name : Shape::any;
    return glob;
  }

  glob.shape_ = Shape::general;
  const size_t words = rest.size() / kWordBits + 1;
  glob.bytes_.assign(words * kWordBits, kNoByte);
  glob.one_.assign(words, 0);
  glob.stay_name_.assign(words, 0);
  glob.stay_any_.assign(words, 0);
  size_t state = 0;
  for (size_t at = 0; at < rest.size(); ++at) {
    if (rest[at] == '*') {
      const bool across = at + 1 < rest.size() && rest[at + 1] == '*';
      set_bit(across ? glob.stay_any_ : glob.stay_name_, state);
      if (across) ++at;
      continue;
    }
    if (rest[at] == '?') {
      set_bit(glob.one_, state);
    } else {
      glob.bytes_[state] = rest[at];
    }
    ++state;
  }
  glob.consuming_ = state;
  return glob;
}

bool Glob::matches(std::string_view path) const {
  if (!path.starts_with(literal_prefix())) return false;
  const std::string_view rest = path.substr(literal_prefix_size_);
  switch (shape_) {
    case Shape::literal: return rest.empty();
    case Shape::name: return rest.find('/') == std::string_view::npos;
    case Shape::any: return true;
    case Shape::general: return matches_general(rest);
  }
  UNREACHABLE();
}

int64_t Glob::steps(size_t path_bytes) const {
  return shape_ == Shape::general ? static_cast<int64_t>(1 + words() * path_bytes / kWordsPerStep)
                                  : 1;
}

bool Glob::matches_general(std::string_view rest) const {
  std::array<uint64_t, kWordsMax> states;  // only words() of them are used
  for (size_t word = 0; word < words(); ++word) states[word] = 0;
  states[0] = 1;
  for (const char byte : rest) {
    // `?` takes the first byte of a code point, and the state behind it the bytes that continue
    // it: a literal and another `?` never match those, so no code point is ever split.
    const bool continuation = (static_cast<uint8_t>(byte) & 0xC0U) == 0x80U;
    const uint64_t one_mask = byte != '/' && !continuation ? ~uint64_t{0} : 0;
    const uint64_t name_mask = byte != '/' ? ~uint64_t{0} : 0;
    const uint64_t behind_one_mask = continuation ? ~uint64_t{0} : 0;
    uint64_t moved_in = 0;   // from the highest state of the word before
    uint64_t behind_in = 0;  // the highest token of the word before is `?`
    uint64_t alive = 0;
    for (size_t word = 0; word < words(); ++word) {
      const uint64_t behind_one = (one_[word] << 1U) | behind_in;
      behind_in = one_[word] >> (kWordBits - 1);
      const uint64_t now = states[word];
      if ((now | moved_in) == 0) continue;
      const uint64_t taken = now == 0 ? 0
                                      : now & (equal_mask(bytes_.data() + word * kWordBits, byte) |
                                               (one_[word] & one_mask));
      const uint64_t stayed =
          now & (stay_any_[word] | (stay_name_[word] & name_mask) | (behind_one & behind_one_mask));
      states[word] = (taken << 1U) | moved_in | stayed;
      moved_in = taken >> (kWordBits - 1);
      alive |= states[word];
    }
    if (alive == 0) return false;
  }
  return ((states[consuming_ / kWordBits] >> (consuming_ % kWordBits)) & 1U) != 0;
}

}  // namespace doozer::core
