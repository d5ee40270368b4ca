// The vocabulary of failure. Three kinds are never mixed: a bug is a CHECK, the world (peer,
// client, bytes, configuration, disk) is a Result, a log that cannot be written stops the server.
#pragma once

#include "base/error.h"

#define DOOZER_CONCAT_INNER(a, b) a##b
#define DOOZER_CONCAT(a, b) DOOZER_CONCAT_INNER(a, b)

/// Passes an error up, else goes on: `TRY(file->sync());`
#define TRY(expression)                                                                       \
  do {                                                                                        \
    auto&& try_result = (expression);                                                         \
    if (!try_result) return ::tl::unexpected<::doozer::Error>(std::move(try_result).error()); \
  } while (false)

/// Passes an error up, else binds the value: `TRY_ASSIGN(auto file, disk.open(name));`
#define TRY_ASSIGN(declaration, expression) \
  TRY_ASSIGN_INNER(DOOZER_CONCAT(try_value_, __LINE__), declaration, expression)
#define TRY_ASSIGN_INNER(temporary, declaration, expression)                              \
  auto temporary = (expression);                                                          \
  if (!temporary) return ::tl::unexpected<::doozer::Error>(std::move(temporary).error()); \
  declaration = std::move(*temporary)
