// Assertions that stay on in release: a failed CHECK is a bug of ours, never bad input. Bytes from
// disk, network or people are parsed to Result (base/result.h) and never reach a CHECK.
#pragma once

namespace doozer {

/// Prints `file:line: CHECK failed: expression` to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression);

}  // namespace doozer

/// Aborts if `condition` is false; evaluated in every build. One condition per CHECK.
#define CHECK(condition)                                      \
  do {                                                        \
    if (!(condition)) [[unlikely]] {                          \
      ::doozer::check_failed(__FILE__, __LINE__, #condition); \
    }                                                         \
  } while (false)

/// For costly walks only: evaluated where DOOZER_DCHECK is defined (sanitizer builds).
#ifdef DOOZER_DCHECK
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) \
  do {                    \
  } while (false)
#endif

/// Marks a place that no value can reach, such as the end of a switch over all enumerators.
#define UNREACHABLE() ::doozer::check_failed(__FILE__, __LINE__, "unreachable")
